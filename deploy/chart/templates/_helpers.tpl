{{/* The name of everything: a service's name begins with a letter and has no dots, which a release's may. */}}
{{- define "polyserve.name" -}}
{{- $release := .Release.Name | replace "." "-" }}
{{- if eq $release .Chart.Name }}{{ .Chart.Name }}
{{- else if regexMatch "^[0-9]" $release }}{{ printf "%s-%s" .Chart.Name $release | trunc 52 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" $release .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "polyserve.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "polyserve.labels" -}}
{{ include "polyserve.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimAll "-._" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "polyserve.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "polyserve.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- define "polyserve.claim" -}}
{{- .Values.models.claim.existing | default (printf "%s-models" (include "polyserve.name" .)) }}
{{- end }}

{{- define "polyserve.scheme" -}}
{{- if .Values.secrets.tls }}HTTPS{{ else }}HTTP{{ end }}
{{- end }}

{{/* Where REST listens in the pod: the server makes 8443 of 8080 under TLS. */}}
{{- define "polyserve.restPort" -}}
{{- if .Values.secrets.tls }}8443{{ else }}8080{{ end }}
{{- end }}

{{/* Whether a claim that one node alone can mount is in use: then a new pod cannot start before the old one has gone. */}}
{{- define "polyserve.oneNode" -}}
{{- if and .Values.models.claim.enabled (not .Values.models.claim.existing) (not (has "ReadWriteMany" .Values.models.claim.accessModes)) (not (has "ReadOnlyMany" .Values.models.claim.accessModes)) }}true{{ end }}
{{- end }}

{{/* A value as a flag or a variable has it: a number of a values file is no float with an exponent. */}}
{{- define "polyserve.text" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end }}
{{- end }}

{{/* Prometheus' annotations where they are wanted, and the pod's own, which win. */}}
{{- define "polyserve.podAnnotations" -}}
{{- $found := dict }}
{{- if .Values.monitoring.annotations }}
{{- $scrape := dict "prometheus.io/scrape" "true" "prometheus.io/path" "/metrics" "prometheus.io/port" (include "polyserve.restPort" .) }}
{{- $found = merge $found $scrape (ne .Values.secrets.tls "" | ternary (dict "prometheus.io/scheme" "https") dict) }}
{{- end }}
{{- toYaml (mergeOverwrite $found (.Values.podAnnotations | default dict)) }}
{{- end }}

{{/* Where the server listens beside its ports: the probes ask there if the ports want a certificate of who asks. */}}
{{- define "polyserve.socket" -}}
{{- if .Values.secrets.clientCa }}{{ (.Values.settings | default dict).uds | default "/tmp/polyserve.sock" }}{{ end }}
{{- end }}

{{/* Labels of what an operator or a sidecar looks for; the chart's own win. */}}
{{- define "polyserve.monitoringLabels" -}}
{{- toYaml (merge (include "polyserve.labels" . | fromYaml) (.Values.monitoring.labels | default dict)) }}
{{- end }}

{{/* One probe: its path, its period and its timeout in seconds. */}}
{{- define "polyserve.probe" -}}
{{- $socket := include "polyserve.socket" .root }}
{{- if $socket -}}
exec:
  command: [python, -IS, /venv/share/polyserve/health.py, {{ .path }}]
{{- else -}}
httpGet:
  path: {{ .path }}
  port: http
  scheme: {{ include "polyserve.scheme" .root }}
{{- end }}
periodSeconds: {{ .period }}
timeoutSeconds: {{ .timeout }}
{{- end }}

{{/* Variables that the chart gives, each with what asks for it. */}}
{{- define "polyserve.ourVariables" -}}
POD_NAMESPACE: the pod's own namespace
{{- if .Values.secrets.adminToken }}
ADMIN_TOKEN: secrets.adminToken
{{- end }}
{{- if .Values.secrets.clientCa }}
POLYSERVE_UDS: secrets.clientCa
{{- end }}
{{- if .Values.secrets.caBundle }}
{{- range list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" "AWS_CA_BUNDLE" }}
{{ . }}: secrets.caBundle
{{- end }}
{{- end }}
{{- end }}

{{/* What a quantity counts, in thousandths: 500m is 500, 1Ki 1024000. */}}
{{- define "polyserve.quantity" -}}
{{- $units := dict "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 }}
{{- $text := toString . }}
{{- mulf (regexFind "^[0-9.]+" $text | float64) (get $units (regexFind "[a-zA-Z]+$" $text) | default 1.0) 1000.0 | toString }}
{{- end }}

{{/* Values that contradict one another, by name. */}}
{{- define "polyserve.check" -}}
{{- $settings := .Values.settings | default dict }}
{{- $ours := dict "model_dir" "models.claim" "http_port" "service.httpPort" "grpc_port" "service.grpcPort" "ssl_certfile" "secrets.tls" "ssl_keyfile" "secrets.tls" "ssl_ca_certs" "secrets.clientCa" }}
{{- range $name, $instead := $ours }}
{{- if hasKey $settings $name }}{{ fail (printf "settings.%s: the chart gives this flag itself; see %s" $name $instead) }}{{ end }}
{{- end }}
{{- range $name, $from := include "polyserve.ourVariables" . | fromYaml }}
{{- if hasKey ($.Values.env | default dict) $name }}{{ fail (printf "env.%s: the chart gives this variable itself, from %s; leave one of them out" $name $from) }}{{ end }}
{{- end }}
{{- range .Values.extraVolumes }}
{{- if has .name (list "tmp" "cache" "models" "tls" "client-ca" "ca" "keys") }}{{ fail (printf "extraVolumes: the chart has a volume %s of its own; give yours another name" .name) }}{{ end }}
{{- end }}
{{- $limits := .Values.resources.limits | default dict }}
{{- range $name, $asked := .Values.resources.requests | default dict }}
{{- if hasKey $limits $name }}
{{- if gt (include "polyserve.quantity" $asked | float64) (include "polyserve.quantity" (get $limits $name) | float64) }}{{ fail (printf "resources.requests.%s is above resources.limits.%s" $name $name) }}{{ end }}
{{- end }}
{{- end }}
{{- if eq (int .Values.service.httpPort) (int .Values.service.grpcPort) }}{{ fail "service.grpcPort is service.httpPort: a service has each port once" }}{{ end }}
{{- if and (ne .Values.autoscaling.kind "none") (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}{{ fail "autoscaling.minReplicas is above autoscaling.maxReplicas" }}{{ end }}
{{- $grace := hasKey $settings "grace_period" | ternary (get $settings "grace_period") 25 | toString | float64 }}
{{- $delay := hasKey $settings "shutdown_delay" | ternary (get $settings "shutdown_delay") 3 | toString | float64 }}
{{- $needed := addf (.Values.termination.drainSeconds | default 0) $grace $delay }}
{{- if lt (float64 .Values.termination.graceSeconds) $needed }}{{ fail (printf "termination.graceSeconds: %d s end the pod before it has drained and answered what is in flight; that takes %g (drainSeconds, settings.grace_period or 25, settings.shutdown_delay or 3)" (int .Values.termination.graceSeconds) $needed) }}{{ end }}
{{- if and .Values.secrets.apiKeys (hasKey $settings "api_keys_file") }}{{ fail "settings.api_keys_file: secrets.apiKeys gives this flag; leave one of them out" }}{{ end }}
{{- if and .Values.secrets.clientCa (not .Values.secrets.tls) }}{{ fail "secrets.clientCa asks clients for certificates, over TLS: set secrets.tls, too" }}{{ end }}
{{- if and .Values.gateway.backendCa (not .Values.secrets.tls) }}{{ fail "gateway.backendCa is for pods that speak TLS: set secrets.tls, too" }}{{ end }}
{{- if and .Values.gateway.enabled (eq .Values.gateway.host .Values.gateway.grpcHost) }}{{ fail "gateway.grpcHost: a gateway takes an HTTPRoute or a GRPCRoute of one host name, not both: give it another name, or none (gRPC then goes by gateway.host)" }}{{ end }}
{{- end }}

{{- define "polyserve.gateway" -}}
parentRefs:
  - name: {{ .Values.gateway.name | quote }}
    {{- with .Values.gateway.namespace }}
    namespace: {{ . | quote }}
    {{- end }}
{{- end }}
