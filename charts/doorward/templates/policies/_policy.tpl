{{/* Head of a policy: (dict "root" $ "name" "pods") */}}
{{- define "doorward.policy.head" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: doorward-{{ .name }}
  labels: {{- include "doorward.labels" (dict "root" .root "component" "admission") | nindent 4 }}
{{- end }}

{{/* The one binding of a policy; `enrolled` holds it to enrolled namespaces. */}}
{{- define "doorward.policy.binding" -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: doorward-{{ .name }}
  labels: {{- include "doorward.labels" (dict "root" .root "component" "admission") | nindent 4 }}
spec:
  policyName: doorward-{{ .name }}
  validationActions: [Deny]
  {{- if .enrolled }}
  matchResources:
    namespaceSelector:
      matchLabels: {doorward.dev/enforced: "true"}
  {{- end }}
{{- end }}

{{- define "doorward.operator" -}}
system:serviceaccount:{{ .Release.Namespace }}:doorward-operator
{{- end }}

{{/* A list of texts as CEL writes it. */}}
{{- define "doorward.texts" -}}
['{{ join "', '" . }}']
{{- end }}

{{/* The controller manager's user, where its controllers have no accounts, and one controller's account. */}}
{{- define "doorward.controllers" -}}
{{ include "doorward.texts" (append .root.Values.policies.controllers (printf "system:serviceaccount:kube-system:%s" .account)) }}
{{- end }}
