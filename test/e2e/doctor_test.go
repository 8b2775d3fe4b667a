package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// findings are what doctor says, by where, as "problem → fix". What cannot be otherwise on this machine is none, nor is that it stops the
// hub now and then.
func (s *system) findings(args ...string) map[string]string {
	s.t.Helper()
	r := s.verb(append([]string{"doctor", "-o", "json"}, args...)...)
	var list []struct {
		Where, Problem, Fix string
		Note                bool
	}
	err := json.Unmarshal([]byte(r.out), &list)
	found, ill := map[string]string{}, false
	for _, f := range list {
		ill = ill || !f.Note
		if !f.Note && !strings.Contains(f.Problem, "it was stopped, or too busy to look") {
			found[f.Where] += f.Problem + " → " + f.Fix + "\n"
		}
	}
	if err != nil || (r.code == 1) != ill || r.code > 1 {
		s.t.Fatalf("doctor: exit code %d, %v\n%s%s", r.code, err, r.out, r.err)
	}
	return found
}

// awaitFindings waits until doctor finds something wrong at these places and at no other: a machine that has much to do is not well
// for a moment.
func (s *system) awaitFindings(args []string, where ...string) (found map[string]string) {
	s.t.Helper()
	defer func() {
		if s.t.Failed() {
			s.t.Logf("doctor has found %q", found)
		}
	}()
	s.await(readyWithin, fmt.Sprintf("doctor finds what is wrong at %q and no more", where), func() bool {
		found = s.findings(args...)
		return slices.Equal(slices.Sorted(maps.Keys(found)), where)
	})
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
	s.do("host", "wait", hostOf(s), "--timeout", operates)
	s.await(readyWithin, "doctor says why broken ends", func() bool {
		about := s.findings("broken")["plugin broken"]
		return strings.Contains(about, "exit code 3") && strings.Contains(about, "no licence")
	})
	found := s.awaitFindings(nil, "plugin absent", "plugin broken")
	contains(t, "absent", found["plugin absent"], "nowhere/program", "pacewire plugin list --programs")
	contains(t, "broken", found["plugin broken"], "pacewire plugin logs broken")
	s.awaitFindings([]string{"broken"}, "plugin broken")
	s.awaitFindings([]string{"load"})
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
	agent.await(readyWithin, "doctor says that there is no hub", func() bool { return strings.Contains(agent.findings()["hub"], "pacewire hub") })
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
	agent.waitsInVain("lonely", "no hub answers")
	f(69, "host list", "hub")

	ends := map[string]func() result{
		"status": agent.begin("", "status", "--wait", operates), "host wait": agent.begin("", "host", "wait", "lonely", "--timeout", operates),
	}
	e.hub()
	for verb, end := range ends {
		if r := end(); r.code != 0 {
			t.Errorf("pacewire %s: exit code %d when there is a hub: %s%s", verb, r.code, r.out, r.err)
		}
	}
	agent.waitsInVain("lonelu", "did you mean lonely?")
	f(64, "host info lonelu", "did you mean lonely?")
	f(64, "host wait lonely --state well", `--state "well"`)
	agent.awaitFindings(nil)
	left := newPlace(t).begin("", "host", "wait", "lonely", "--bus", e.bus.URL, "--state", "left", "--timeout", operates, "-o", "json")
	agent.drain()
	var h beating
	if r := left(); json.Unmarshal([]byte(r.out), &h) != nil || h.State != telemetry.HostLeft || h.Reason != "shutdown" {
		t.Errorf("host wait --state left: exit code %d: %s%s", r.code, r.out, r.err)
	}
}

// waitsInVain waits for a host that does not come. Why is known when somebody had the time to answer.
func (s *system) waitsInVain(host, why string) {
	s.t.Helper()
	limit := time.Second
	s.await(readyWithin, "host wait says "+why, func() bool {
		r := s.verb("host", "wait", host, "--timeout", limit.String())
		if want := fmt.Sprintf("%s is not UP after %v: ", host, limit); r.code != 75 || !strings.Contains(r.err, want) {
			s.t.Fatalf("host wait %s: exit code %d: %s", host, r.code, r.err)
		}
		limit *= 2
		return strings.Contains(r.err, why)
	})
}
