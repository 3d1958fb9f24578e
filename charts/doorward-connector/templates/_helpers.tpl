{{- define "connector.name" -}}
doorward-connector-{{ required "name: the name of the Connector, for example code" .Values.name }}
{{- end }}

{{- define "connector.audience" -}}
connector:{{ .Values.name }}
{{- end }}

{{- define "connector.image" -}}
{{- $name := .Values.image.repository -}}
{{- with .Values.imageRegistry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{ end -}}
{{- if .Values.image.digest -}}
{{ $name }}@{{ .Values.image.digest }}
{{- else -}}
{{ $name }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "connector.selector" -}}
app.kubernetes.io/name: doorward
app.kubernetes.io/component: connector
doorward.dev/connector: {{ .Values.name }}
{{- end }}

{{- define "connector.labels" -}}
{{ include "connector.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
