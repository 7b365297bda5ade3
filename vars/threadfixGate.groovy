// A step of a Jenkins shared library: uploads a scan, waits until ThreadFix has processed it, and sets the result of the build.
//
//     threadfixGate(url: 'https://tf.example.com/threadfix', credentialsId: 'threadfix-api-key',
//                   arguments: '--application-id 6 --scan-file results.fpr --timeout 45m')
//
// url, credentialsId: required; the credential is a "Secret text" that holds the API key.
// arguments: options of `threadfix-gate run`. They become part of a shell script: write nothing untrusted into them.
// image: the gate's image. tool: 'docker', or 'installed' for a gate that is installed on the agent.
// dockerArguments: more options of `docker run`, such as '--network ci'.
// Every variable THREADFIX_... and those of a proxy reach the gate; the file THREADFIX_CA_FILE is mounted.
// Returns the exit code: 0 is a pass. A fail ends the build; an unknown verdict makes it UNSTABLE.
int call(Map options) {
    Map settings = [arguments: '', dockerArguments: '', image: 'ghcr.io/OWNER/threadfix-gate:0.1.0', tool: 'docker'] + options
    def unknown = options.keySet() - ['url', 'credentialsId', 'arguments', 'dockerArguments', 'image', 'tool']
    if (unknown || !settings.url || !settings.credentialsId || !(settings.tool in ['docker', 'installed'])) {
        error("threadfixGate: url and credentialsId are required, tool is docker or installed; unknown: ${unknown}")
    }
    String reports = ' --result-file threadfix-gate/result.json --junit-file threadfix-gate/junit.xml' +
        ' --html-file threadfix-gate/report.html'
    // Single quotes: the shell reads the values from its environment, and the key stays out of the script.
    // The container reads the workspace, and writes only its reports.
    // Variables are passed by name. One that is not set stays unset in the container.
    String docker = '''docker run --rm $(env | sed -n 's/^\\(THREADFIX_[A-Z_]*\\)=.*/--env \\1/p') \
        --env HTTPS_PROXY --env https_proxy --env HTTP_PROXY --env http_proxy --env NO_PROXY --env no_proxy \
        ${THREADFIX_CA_FILE:+--volume "$THREADFIX_CA_FILE:$THREADFIX_CA_FILE:ro"} --user "$(id -u):$(id -g)" \
        --volume "$WORKSPACE:$WORKSPACE:ro" --volume "$WORKSPACE/threadfix-gate:$WORKSPACE/threadfix-gate" \
        --workdir "$WORKSPACE" ''' + settings.dockerArguments + ' "$GATE_IMAGE"'
    String gate = settings.tool == 'docker' ? docker : 'threadfix-gate'
    int code = 0
    try {
        withEnv(["GATE_IMAGE=${settings.image}", "THREADFIX_URL=${settings.url}"]) {
            withCredentials([string(credentialsId: settings.credentialsId, variable: 'THREADFIX_API_KEY')]) {
                code = sh(label: 'threadfix-gate', returnStatus: true, script:
                    'rm -rf threadfix-gate\nmkdir threadfix-gate\n' + gate + ' run ' + settings.arguments + reports)
            }
        }
    } finally {
        junit testResults: 'threadfix-gate/junit.xml', allowEmptyResults: true, skipMarkingBuildUnstable: true
        archiveArtifacts artifacts: 'threadfix-gate/*', allowEmptyArchive: true
    }
    // From 2 to 70 the verdict is unknown. With a higher code, the gate did not run to its end, so there is no verdict.
    if (code == 1) {
        error('ThreadFix gate: fail')
    } else if (code > 70) {
        error("ThreadFix gate: no verdict, exit code ${code}")
    } else if (code != 0) {
        unstable("ThreadFix gate: unknown, exit code ${code}")
    }
    return code
}
