{{- define "polyserve.name" -}}
{{- if eq .Release.Name .Chart.Name }}{{ .Chart.Name }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "polyserve.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "polyserve.labels" -}}
{{ include "polyserve.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
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

{{/* Whether a claim that one node alone can mount is in use: then a new pod cannot start before the old one has gone. */}}
{{- define "polyserve.oneNode" -}}
{{- if and .Values.models.claim.enabled (not .Values.models.claim.existing) (not (has "ReadWriteMany" .Values.models.claim.accessModes)) (not (has "ReadOnlyMany" .Values.models.claim.accessModes)) }}true{{ end }}
{{- end }}

{{/* A value as a flag or a variable has it: a number of a values file is no float with an exponent. */}}
{{- define "polyserve.text" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end }}
{{- end }}
