// Runs a Jenkinsfile, declarative or scripted, with the steps of the examples, and prints the result of each build.
// The steps of a shared library are the files in the folder `library`.
// Shell steps run for real, in a folder for each agent. The first argument is JSON, for each build: the parent of these
// folders, the sources, credentials, parameters, and values that replace those of `environment`. A step or section that
// is not defined here ends the run. `exposed` lists the shell steps with a credential on an agent that has checked out,
// `unlocked` the uploads that other builds may overlap.
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import java.nio.file.FileSystems
import java.nio.file.Files
import org.codehaus.groovy.control.CompilerConfiguration

abstract class Jenkins extends Script {
    Map known = [:]
    Map<String, String> variables = [:]
    Map build = [result: 'SUCCESS', stages: [], junit: [], archived: [], printed: [], exposed: [], unlocked: []]
    boolean stopsAfterUnstable = false
    boolean checksOut = true
    Map sections = null
    File workspace = null
    Set<String> credentials = []
    Set<File> checkedOut = []
    List<String> locks = []
    Map<String, List> stashes = [:]
    def none = 'none'
    def POD_LABEL = 'threadfix'
    def scm = 'scm'

    Map getCurrentBuild() { [currentResult: build.result] }
    Map getParams() { known.parameters ?: [:] }

    // Sections.
    void pipeline(Closure body) { body() }
    void agent(what) { assert what == 'none' }
    void agent(Closure body) { body() }
    void label(String name) { sections.agent = name }
    void options(Closure body) { body() }
    void skipDefaultCheckout() { checksOut = false }
    void skipStagesAfterUnstable() { stopsAfterUnstable = true }
    void timeout(Map limits, Closure body = {}) { assert limits.time > 0 && limits.unit in ['HOURS', 'MINUTES']; body() }
    void stages(Closure body) { body() }
    void steps(Closure body) { sections.steps = body }
    void post(Closure body) { body() }
    void always(Closure body) { sections.always = body }
    void script(Closure body) { body() }
    void lock(String resource) { sections.lock = resource }

    void node(String label, Closure body) {
        def before = workspace
        workspace = new File(known.agents, label)
        workspace.mkdirs()
        try { body() } finally { workspace = before }
    }

    void environment(Closure body) {
        body.resolveStrategy = Closure.DELEGATE_ONLY
        body.delegate = variables
        body()
        variables << known.environment
    }

    void stage(String name, Closure body) {
        if (stopsAfterUnstable && build.result == 'UNSTABLE') { return }
        build.stages << name
        sections = [:]
        // In a scripted pipeline the body has the steps; in a declarative pipeline it has sections.
        body()
        def (work, after, agent, resource) = [sections.steps, sections.always, sections.agent, sections.lock]
        def run = { try { if (work) { if (agent && checksOut) { checkout(scm) }; work() } } finally { if (after) { after() } } }
        def start = { agent ? node(agent, run) : run() }
        resource ? lock(resource, start) : start()
    }

    // Steps.
    List string(Map binding) { [binding.variable, known.credentials[binding.credentialsId]] }

    void withCredentials(List bindings, Closure body) {
        bindings.each { name, value -> assert value != null: "no such credential for ${name}" }
        credentials.addAll(bindings*.get(0))
        within(bindings.collectEntries { it }, body)
    }

    void withEnv(List settings, Closure body) {
        within(settings.collectEntries { it.toString().split('=', 2) as List } + known.environment, body)
    }

    void within(Map added, Closure body) {
        def before = variables
        variables = before + added
        try { body() } finally { variables = before }
    }

    void checkout(what) {
        assert what == 'scm'
        checkedOut << workspace
        known.sources.each { name, text ->
            def file = new File(workspace, name)
            file.text = text
            file.executable = true
        }
    }

    void dir(String name, Closure body) {
        def before = workspace
        workspace = new File(workspace, name)
        assert workspace.mkdirs()
        try { body() } finally { workspace = before }
    }

    void podTemplate(Map pod, Closure body) { assert pod.yaml.contains('runAsUser: '); body() }
    void container(String name, Closure body) { body() }

    void lock(String resource, Closure body) {
        locks << resource
        try { body() } finally { locks.pop() }
    }

    void deleteDir() { assert workspace.deleteDir() && workspace.mkdirs() }

    void stash(Map step) {
        stashes[step.name] = found(step.includes, false).collect { [it, new File(workspace, it).bytes] }
    }

    void unstash(String name) { stashes[name].each { file, bytes -> new File(workspace, file).bytes = bytes } }

    def sh(String script) { sh(script: script) }

    def sh(Map step) {
        assert (step.keySet() - ['script', 'label', 'returnStatus']).empty
        // As in Jenkins, each command is shown, and the first failing command ends the step.
        def process = new ProcessBuilder('sh', '-xe', '-c', step.script).inheritIO().directory(workspace)
        process.environment() << variables + [WORKSPACE: workspace.path]
        if (workspace in checkedOut && variables.keySet().any { it in credentials }) { build.exposed << step.script }
        if (step.script.contains('--scan-file') && !locks) { build.unlocked << step.script }
        int code = process.start().waitFor()
        if (step.returnStatus) { return code }
        if (code) { error("script returned exit code ${code}") }
    }

    void junit(Map step) {
        assert step.skipMarkingBuildUnstable
        build.junit += found(step.testResults, step.allowEmptyResults)
    }

    void archiveArtifacts(Map step) { build.archived += found(step.artifacts, step.allowEmptyArchive) }

    List found(String pattern, boolean mayBeEmpty) {
        def folder = workspace.toPath()
        def matcher = FileSystems.default.getPathMatcher("glob:${pattern}")
        def names = Files.walk(folder).collect { folder.relativize(it) }.findAll { matcher.matches(it) }*.toString()
        if (!names && !mayBeEmpty) { error("${pattern}: nothing found") }
        names.sort()
    }

    // Other steps come from the shared library, and call the steps of Jenkins.
    def methodMissing(String name, Object arguments) {
        def file = new File(known.library, "${name}.groovy")
        assert file.exists(): "no such step: ${name}"
        def settings = new CompilerConfiguration(scriptBaseClass: DelegatingScript.name)
        def step = new GroovyShell(this.class.classLoader, new Binding(), settings).parse(file)
        step.setDelegate(this)
        step.call(*(arguments as List))
    }

    void echo(String text) { build.printed << text }
    void unstable(String text) { build.printed << text; build.result = 'UNSTABLE' }
    void error(text) { build.printed << text.toString(); throw new BuildFailed() }
}

@interface Library { String value() }

class BuildFailed extends Exception { }

def settings = new CompilerConfiguration(scriptBaseClass: Jenkins.name)
def file = new File(args[1])
def shell = new GroovyShell(this.class.classLoader, new Binding(), settings)
new JsonSlurper().parseText(args[0]).each { known ->
    def job = shell.parse(file)
    job.known.putAll(known)
    try { job.run() } catch (BuildFailed ignored) { job.build.result = 'FAILURE' }
    println JsonOutput.toJson(job.build)
}
