{{/* Image reference of a part: (dict "root" $ "image" .Values.operator.image) */}}
{{- define "doorward.image" -}}
{{- $registry := .root.Values.imageRegistry -}}
{{- $name := .image.repository -}}
{{- if $registry }}{{ $name = printf "%s/%s" (trimSuffix "/" $registry) $name }}{{ end -}}
{{- if .image.digest -}}
{{ $name }}@{{ .image.digest }}
{{- else -}}
{{ $name }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* Labels that select the pods of a part: (dict "component" "broker") */}}
{{- define "doorward.selector" -}}
app.kubernetes.io/name: doorward
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "doorward.labels" -}}
{{ include "doorward.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* What every pod of ours has: (dict "root" $ "component" "broker" "token" true "spread" false) */}}
{{- define "doorward.pod" -}}
serviceAccountName: doorward-{{ .component }}
automountServiceAccountToken: {{ .token }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  # Keys are mounted readable for this group and for nobody else.
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .spread }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "doorward.selector" . | nindent 8 }}
{{- end }}
{{- end }}

{{/* What every container of ours has. */}}
{{- define "doorward.container" -}}
imagePullPolicy: {{ .root.Values.imagePullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  capabilities: {drop: [ALL]}
  privileged: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
{{- end }}

{{/* The probes of the listener on 9090. */}}
{{- define "doorward.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: ops}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: ops}
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: ops}
  periodSeconds: 2
  timeoutSeconds: 2
{{- end }}

{{/* More environment variables of a part, in the order of their names. */}}
{{- define "doorward.env" -}}
{{- range $name := keys . | sortAlpha }}
- {name: {{ $name }}, value: {{ index $ $name | quote }}}
{{- end }}
{{- end }}

{{/* A volume with the serving certificate of a part. Keys are named, so a pod waits until they are there. */}}
{{- define "doorward.tls" -}}
- name: tls
  secret:
    secretName: {{ . }}-tls
    defaultMode: 0440
    items:
      - {key: tls.crt, path: tls.crt}
      - {key: tls.key, path: tls.key}
      - {key: ca.crt, path: ca.crt}
{{- end }}

{{/* A volume with the bundle that vouches for our certificates, and one with what pods are rendered from. */}}
{{- define "doorward.render" -}}
- name: ca
  configMap:
    name: doorward-ca
    items:
      - {key: ca.crt, path: ca.crt}
- name: render
  configMap:
    name: doorward-render
{{- end }}

{{/* A volume with what pods were rendered with lately; empty until the certificates process has written it down. */}}
{{- define "doorward.renderings" -}}
- name: renderings
  configMap:
    name: doorward-renderings
{{- end }}
