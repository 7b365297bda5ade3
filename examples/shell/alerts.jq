# Turns the code-scanning alerts of GitHub's API, a list of pages, into a .threadfix report.
def severity: {critical: "Critical", high: "High", error: "High", medium: "Medium", warning: "Medium", low: "Low"}[.] // "Info";

(now | todate) as $now
| {
    source: "GitHub code scanning", # as the scanner is called in your ThreadFix
    collectionType: "SAST",
    created: $now, updated: $now, exported: $now,
    findings: [
      add[] | {
        nativeId: "\(.tool.name)-\(.number)",
        severity: ((.rule.security_severity_level // .rule.severity) | severity),
        nativeSeverity: (.rule.security_severity_level // .rule.severity),
        summary: .rule.description,
        description: .most_recent_instance.message.text,
        mappings: [
          ([.rule.tags // [] | .[] | capture("external/cwe/cwe-0*(?<id>[0-9]+)").id] | .[0]) as $cwe
          | if $cwe then {mappingType: "CWE", value: $cwe, primary: true}
            else {mappingType: "TOOL_VENDOR", vendorOtherType: .tool.name, value: .rule.id, primary: true} end
        ],
        staticDetails: {
          file: .most_recent_instance.location.path,
          parameter: "",
          dataFlow: [
            .most_recent_instance.location
            | {file: .path, lineNumber: .start_line, columnNumber: .start_column, text: ""}
          ]
        }
      }
    ]
  }
