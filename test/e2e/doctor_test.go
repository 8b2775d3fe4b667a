package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

// findings are what doctor says, by where, as "problem → fix".
func (s *system) findings(args ...string) map[string]string {
	s.t.Helper()
	r := s.verb(append([]string{"doctor", "-o", "json"}, args...)...)
	var list []struct{ Where, Problem, Fix string }
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || (r.code == 1) != (len(list) > 0) || r.code > 1 {
		s.t.Fatalf("doctor: exit code %d, %v\n%s%s", r.code, err, r.out, r.err)
	}
	found := map[string]string{}
	for _, f := range list {
		found[f.Where] += f.Problem + " → " + f.Fix + "\n"
	}
	return found
}

// Doctor names the plugin that is ill, why, and what mends it; of one that is well it says nothing.
func TestDoctor(t *testing.T) {
	t.Parallel()
	s := up(t, `web: { listen: "127.0.0.1:0" }
collect:
  load: { use: host, every: 1s, only: [load] }
  absent: { run: [./nowhere/program] }
  broken: { run: [sh, -c, "echo no licence >&2; exit 3"] }
publish: { file: { use: lines, from: load, path: points.lp } }
`, "absent", "broken")
	s.do("host", "wait", hostOf(s))
	s.awaitPlugin("broken", readyWithin, "has failed", func(p plugin) bool { return p.State == "failed" || p.State == "backing_off" })
	found := s.findings()
	contains(t, "absent", found["plugin absent"], "nowhere/program", "pacewire plugin list --programs")
	contains(t, "broken", found["plugin broken"], "exit code 3", "no licence", "pacewire plugin logs broken")
	for where, text := range found {
		if where != "plugin absent" && where != "plugin broken" {
			t.Errorf("doctor has found at %s: %s", where, text)
		}
	}
	if about := s.findings("broken"); len(about) != 1 || about["plugin broken"] == "" {
		t.Errorf("doctor broken: %q", about)
	}
	if about := s.findings("load"); len(about) != 0 {
		t.Errorf("doctor load: %q", about)
	}
	s.do("plugin", "unload", "absent", "broken")
	s.drain()
}

// hostOf is the name of the host that an agent runs on.
func hostOf(s *system) string {
	s.t.Helper()
	n, ok := s.note()
	if !ok {
		s.t.Fatal("the agent has left no note")
	}
	return n.Host
}

// Without a hub doctor, status and host wait say so; when there is one, they see it, and the host comes and goes.
func TestFleetVerbs(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	agent := e.agent(e.bus.URL, "lonely")
	found := agent.findings()
	contains(t, "doctor without a hub", found["hub"], "pacewire hub")
	f := func(code int, args string, parts ...string) {
		t.Helper()
		r := agent.verb(strings.Fields(args)...)
		if r.code != code {
			t.Errorf("pacewire %s: exit code %d, want %d", args, r.code, code)
		}
		contains(t, "pacewire "+args, r.err, parts...)
	}
	f(1, "status", "not well", "hub")
	f(75, "status --wait 1s", "after 1s", "hub")
	f(75, "host wait lonely --timeout 1s", "lonely is not UP after 1s", "hub")
	f(69, "host list", "hub")

	ends := map[string]func() result{
		"status": agent.begin("", "status", "--wait", "50s"), "host wait": agent.begin("", "host", "wait", "lonely", "--timeout", "50s"),
	}
	e.hub()
	for verb, end := range ends {
		if r := end(); r.code != 0 {
			t.Errorf("pacewire %s: exit code %d when there is a hub: %s%s", verb, r.code, r.out, r.err)
		}
	}
	f(75, "host wait lonelu --timeout 1s", "did you mean lonely?")
	f(64, "host info lonelu", "did you mean lonely?")
	f(64, "host wait lonely --state well", `--state "well"`)
	if found := agent.findings(); len(found) > 0 {
		t.Errorf("doctor has found: %q", found)
	}
	left := newPlace(t).begin("", "host", "wait", "lonely", "--bus", e.bus.URL, "--state", "left", "-o", "json")
	agent.drain()
	var h beating
	if r := left(); json.Unmarshal([]byte(r.out), &h) != nil || h.State != telemetry.HostLeft || h.Reason != "shutdown" {
		t.Errorf("host wait --state left: exit code %d: %s%s", r.code, r.out, r.err)
	}
}
