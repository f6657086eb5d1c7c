{{/* How things are called, and the labels that all bear. */}}

{{- define "gossip-price.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "gossip-price.serviceAccountName" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "gossip-price.fullname" . -}}
{{- else -}}
default
{{- end -}}
{{- end }}

{{- /* Not the name of what the operator makes: its own objects have nothing to do with ours. */}}
{{- define "gossip-price.selectorLabels" -}}
app.kubernetes.io/name: gossip-price-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Of pods, too: nothing here changes with the chart's version alone. */}}
{{- define "gossip-price.lastingLabels" -}}
{{ include "gossip-price.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: gossip-price
{{- with .Values.extraLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "gossip-price.labels" -}}
{{ include "gossip-price.lastingLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Call with a list: the root, and the image's values. */}}
{{- define "gossip-price.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default $root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end }}
