package api

import (
	"strings"
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

// TestSecrets sends secrets in every place where one may stand, and looks for them in answers and in the log.
func TestSecrets(t *testing.T) {
	const marker = "s3cr3t-m4rk3r"
	r := start(t, nil, nil)
	refuse := tell(func(string, map[string]any) any {
		return telemetry.Fault{Code: "invalid", Message: "password: want text"}
	})
	f := func(method, path, body string, headers ...string) {
		t.Helper()
		for _, answer := range []func(){func() { r.fleet.answer = obedient }, func() { r.fleet.answer = refuse }} {
			answer()
			if a := r.ask(method, "/api/v1"+path, body, headers...); strings.Contains(a.text, marker) {
				t.Errorf("%s %s answers %s", method, path, a.text)
			}
		}
	}
	yaml := "Content-Type: application/yaml"
	f("PUT", "/hosts/web1/plugins/influx", "publish: { influx: { from: all, password: "+marker+" } }", yaml)
	f("PUT", "/hosts/web1/plugins/influx", "publish:\n  influx: { from: all, password: "+marker, yaml)
	f("PUT", "/hosts/web1/plugins/influx", "publish:\n\tinflux: { password: "+marker+" }", yaml)
	f("PUT", "/hosts/web1/plugins/other", "publish: { influx: { from: all, password: "+marker+" } }", yaml)
	f("PUT", "/hosts/web1/plugins/influx", `{"publish": {"influx": {"password": "`+marker+`"`)
	f("POST", "/hosts/web1/plugins/influx/swap", `{"config": "publish: { influx: { password: `+marker+` } }"}`)
	f("POST", "/hosts/web1/plugins/influx/swap", `{"config": "publish: { influx: { password: `+marker+`"}`)
	f("POST", "/refresh", "", "Authorization: Bearer "+marker)
	f("POST", "/refresh", "", "Cookie: session="+marker, "Authorization: Basic "+marker)
	for _, path := range []string{"/hosts", "/status", "/plugins", "/jobs/17", "/graph"} {
		f("GET", path, "", "Authorization: Bearer "+marker)
	}
	if strings.Contains(r.log.String(), marker) || strings.Contains(r.log.String(), token) {
		t.Errorf("the log has a secret: %s", r.log.String())
	}
}
