package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/pacewire/pacewire/agent/config"
)

// configSchema returns what schema config prints, as somebody else's validator reads it.
func configSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	var out, err bytes.Buffer
	a := &app{out: &out, err: &err}
	if code := a.run(t.Context(), func() {}, []string{"schema", "config"}); code != 0 {
		t.Fatalf("exit code %d: %s", code, err.String())
	}
	doc, fault := jsonschema.UnmarshalJSON(&out)
	if fault != nil {
		t.Fatal(fault)
	}
	c := jsonschema.NewCompiler()
	if fault := c.AddResource("config.json", doc); fault != nil {
		t.Fatal(fault)
	}
	s, fault := c.Compile("config.json")
	if fault != nil {
		t.Fatal(fault)
	}
	return s
}

// TestSchemaOfConfig checks that the schema for editors and the program take and refuse the same configs; JSON is YAML.
func TestSchemaOfConfig(t *testing.T) {
	s := configSchema(t)
	f := func(good bool, text string) {
		t.Helper()
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(doc); (err == nil) != good {
			t.Errorf("%s\nthe schema says %v", text, err)
		}
		if _, err := config.Parse(config.Options{Programs: forConfig(), Offline: true}, "c.yaml", []byte(text)); (err == nil) != good {
			t.Errorf("%s\nthe program says %v", text, err)
		}
	}
	process := func(good bool, plugin string) {
		t.Helper()
		f(good, `{"collect": {"host": null}, "process": `+plugin+`, "publish": {"lines": {"from": "all"}}}`)
	}
	process(true, `{"hot": {"from": "host", "use": "filter", "keep": "fields.usage > 90"}}`)
	process(true, `{"hot": {"from": "host", "use": "filter", "config": {"keep": "fields.usage > 90"}}}`)
	process(true, `{"filter": {"from": "host", "keep": "fields.usage > 90", "timeout": "5s"}}`)
	process(true, `{"filter": {"from": ["host"], "use": "tag", "add": {"site": "lab"}}}`)
	process(false, `{"hot": {"from": "host", "use": "filter", "kepp": "fields.usage > 90"}}`)
	process(false, `{"hot": {"from": "host", "use": "filter", "config": {"kepp": "x"}}}`)
	process(false, `{"filter": {"from": "host", "kepp": "x"}}`)
	process(false, `{"filter": {"from": "host", "use": "tag", "keep": "x"}}`)

	process(true, `{"both": {"from": "host", "use": "chain", "steps": [{"use": "filter", "keep": "fields.usage > 90"}, {"use": "tag", "add": {"a": "b"}}]}}`)
	process(true, `{"chain": {"from": "host", "steps": [{"use": "tag", "drop": ["a"]}]}}`)
	process(false, `{"chain": {"from": "host", "steps": [{"use": "tag", "keep": "x"}]}}`)
	process(false, `{"chain": {"from": "host", "steps": [{"use": "tga"}]}}`)
	process(false, `{"chain": {"from": "host", "steps": [{"drop": ["a"]}]}}`)
	process(false, `{"both": {"from": "host", "use": "chain", "steps": [{"use": "filter", "add": {"a": "b"}}]}}`)
	process(false, `{"both": {"from": "host", "use": "chain", "steps": {"use": "filter"}}}`)
	process(false, `{"both": {"from": "host", "use": "chain", "setps": []}}`)

	plain := func(good bool, top string) {
		t.Helper()
		f(good, `{`+top+`, "collect": {"host": {"every": "5s", "only": ["cpu"]}}, "publish": {"lines": {"from": "host"}}}`)
	}
	plain(true, `"bus": "embedded"`)
	plain(true, `"bus": ["nats://a:4222", "nats://b:4222"]`)
	plain(true, `"bus": {"listen": "127.0.0.1:0", "sync": "1s", "max_store": "1GiB", "max_age": "24h"}`)
	plain(true, `"bus": {"urls": "tls://a:4222", "tls": {"ca_file": "/ca.pem"}}`)
	plain(false, `"bus": {"urls": "tls://a:4222", "tls": {"ca": "/ca.pem"}}`)
	plain(false, `"bus": {"listne": "127.0.0.1:0"}`)
	plain(true, `"log": "debug"`)
	plain(true, `"log": {"level": "warn", "format": "json"}`)
	plain(false, `"log": {"format": "logfmt"}`)
	plain(true, `"tags": {"site": "lab", "rack": 7}, "every": "10s", "host": "web-1"`)
	plain(false, `"evry": "10s"`)
	plain(false, `"web": {"lisen": "127.0.0.1:80"}`)

	collect := func(good bool, key string) {
		t.Helper()
		f(good, `{"collect": {"host": {`+key+`}, "mine": {"run": "x", `+key+`}}, "publish": {"lines": {"from": "host"}}}`)
	}
	collect(false, `"start": "all"`)
	collect(false, `"order": "source"`)
	collect(false, `"replicas": 2`)
	collect(true, `"replicas": 1`)
	collect(true, `"queue": "16MiB", "overflow": "block", "max_rate": 100, "max_series": 100`)
	collect(false, `"max_rate": 1099511627777`)
	publish := func(good bool, key string) {
		t.Helper()
		f(good, `{"collect": {"host": null}, "publish": {"lines": {"from": "host", `+key+`}, "other": {"from": "host", "use": "elsewhere", `+key+`}}}`)
	}
	for _, key := range []string{`"queue": "16MiB"`, `"overflow": "block"`, `"max_rate": 1`, `"max_series": 1`, `"cron": "@daily"`, `"schedule": {"cron": "@daily"}`, `"every": "1s"`, `"tags": {"a": "b"}`} {
		publish(false, key)
	}
	publish(true, `"replicas": 1000, "parallel": 1000`)
	publish(false, `"replicas": 1001`)
	publish(false, `"parallel": 1001`)
	for _, start := range []string{"new", "all", "24h ago", "1d12h ago", "2026-01-02T15:04:05Z", "2026-01-02T15:04:05.5+01:00"} {
		publish(true, `"start": "`+start+`"`)
	}
	for _, start := range []string{"24h", "now", "2026-01-02", "yesterday"} {
		publish(false, `"start": "`+start+`"`)
	}

	f(true, `{"collect": {"mine": {"run": "python3 x.py", "config": {"any": [1]}}}, "publish": {"lines": {"from": "mine"}}}`)
	f(false, `{"collect": {"mine": {"run": "python3 x.py", "any": 1}}, "publish": {"lines": {"from": "mine"}}}`)
	f(false, `{"collect": {"host": {"run": "python3 x.py", "only": ["cpu"]}}, "publish": {"lines": {"from": "host"}}}`)
	f(true, `{"collect": {"host": null}, "publish": {"db": {"use": "influxdb", "from": "host", "url": "http://a:8086", "password_file": "/p"}}}`)
	f(false, `{"collect": {"host": null}, "publish": {"db": {"use": "influxdb", "from": "host", "version": 4}}}`)
	f(true, `{"collect": {"host": null}, "publish": {"queue": {"use": "elsewhere", "from": "host", "brokers": ["a"]}}}`) // pacewire-elsewhere
}
