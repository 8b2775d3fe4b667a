package otlp

import (
	"testing"
)

const oneGauge = `{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},{"key":"os.type","value":{"stringValue":"linux"}}]},
 "scopeMetrics":[{"scope":{"name":"s"},"metrics":[{"name":"queue.size","unit":"1","gauge":{"dataPoints":[
  {"asInt":"42","timeUnixNano":"1763559525000000000","attributes":[{"key":"queue","value":{"stringValue":"in"}}]}]}}]}]}]}`

func TestPush(t *testing.T) {
	r := start(t, nil)
	got := r.push(jsonForm, oneGauge)
	t.Log(got, r.take())
}
