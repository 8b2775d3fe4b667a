package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/hub"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// tell makes an agent of a function that knows its answers at once.
func tell(f func(verb string, args map[string]any) any) func(context.Context, string, map[string]any) (any, error) {
	return func(_ context.Context, verb string, args map[string]any) (any, error) { return f(verb, args), nil }
}

// silent makes an agent that never answers; begun is told of each request.
func silent(begun chan<- bool) func(context.Context, string, map[string]any) (any, error) {
	return func(ctx context.Context, _ string, _ map[string]any) (any, error) {
		select {
		case begun <- true:
		default:
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

func TestOperate(t *testing.T) {
	r := start(t, nil, nil)
	f := func(method, path, body, want string, headers ...string) {
		t.Helper()
		a := r.ask(method, "/api/v1/hosts/www"+path, body, headers...)
		var j Job
		_ = json.Unmarshal([]byte(a.text), &j)
		if told := r.fleet.orders(); told != want {
			t.Errorf("%s %s: told %s, want %s", method, path, told, want)
		}
		if a.StatusCode != http.StatusOK || j.State != jobDone || len(j.Result.Changes) != 1 || j.Ended < j.Begun || j.Host != "web1" {
			t.Errorf("%s %s: %s %s", method, path, a.Status, a.text)
		}
		var again Job
		if r.get("/api/v1/jobs/"+j.ID, &again); again.Result.Changes[0] != j.Result.Changes[0] {
			t.Errorf("the job is %+v", again)
		}
	}
	f("POST", "/plugins/tidy/start", "", "start web1 map[plugin:tidy]")
	f("POST", "/plugins/tidy/stop", "", "stop web1 map[plugin:tidy]")
	f("POST", "/plugins/tidy/restart?wait=1m", "", "restart web1 map[plugin:tidy]")
	f("POST", "/plugins/tidy/upgrade", "", "upgrade web1 map[plugin:tidy]")
	f("DELETE", "/plugins/tidy", "", "unload web1 map[plugin:tidy]")
	f("POST", "/plugins/tidy/swap", `{"use": "filter"}`, "swap web1 map[plugin:tidy use:filter]")
	f("POST", "/plugins/tidy/swap", `{"run": ["a", "b"], "sha256": "`+strings.Repeat("AB", 32)+`"}`,
		"swap web1 map[plugin:tidy run:[a b] sha256:"+strings.Repeat("ab", 32)+"]")
	f("POST", "/plugins/tidy/swap", `{"config": "process: { tidy: { from: cpu } }"}`,
		"swap web1 map[config:process: { tidy: { from: cpu } } file:api plugin:tidy]")
	f("PUT", "/plugins/tidy", `{"collect": {"tidy": {"use": "host"}}}`,
		`load web1 map[config:{"collect": {"tidy": {"use": "host"}}} file:api replace:true]`)
	f("PUT", "/plugins/tidy", "collect:\n  tidy: { use: host }\n",
		"load web1 map[config:collect:\n  tidy: { use: host }\n file:api replace:true]", "Content-Type: application/yaml")
	f("POST", "/reload", "", "reload web1 map[dry_run:false]")
	f("POST", "/reload?dry_run=1", "", "reload web1 map[dry_run:true]")
}

func TestOperateFails(t *testing.T) {
	r := start(t, nil, nil)
	f := func(answer any, status int, code, detail string) {
		t.Helper()
		r.fleet.err, _ = answer.(error)
		r.fleet.answer = tell(func(string, map[string]any) any { return answer })
		a := r.ask("POST", "/api/v1/hosts/web1/plugins/tidy/start", "")
		if p := a.problem(); a.StatusCode != status || p.Code != code || !strings.Contains(p.Detail, detail) {
			t.Errorf("%v: %s %s; want %d %s", answer, a.Status, a.text, status, code)
		}
	}
	f(telemetry.Fault{Code: "not_found", Message: "no plugin tydi: did you mean tidy?"}, 404, "agent_not_found", "did you mean tidy?")
	f(telemetry.Fault{Code: "denied", Message: "not over a foreign bus"}, 403, "agent_denied", "foreign")
	f(telemetry.Fault{Code: "invalid", Message: "line 3"}, 400, "agent_invalid", "line 3")
	f(telemetry.Fault{Code: "timeout", Message: "8 are under way"}, 504, "agent_timeout", "under way")
	f(telemetry.Fault{Code: "internal", Message: "start tidy: exit code 1"}, 502, "agent_internal", "exit code 1")
	f(telemetry.Fault{Code: "odd", Message: "odd"}, 502, "agent_internal", "odd")
	f(telemetry.ChangeList{Changes: []telemetry.Change{{Plugin: "tidy", Action: "swap", Error: "it fails"}}}, 409, "came_to_nothing", "swap tidy: it fails")
	f(hub.ErrNotConnected, 503, "not_connected", "")
	f(errors.New("odd"), 500, "internal", "went wrong")
}

func TestLongOperation(t *testing.T) {
	r := start(t, nil, nil)
	end := make(chan bool)
	r.fleet.answer = func(ctx context.Context, verb string, args map[string]any) (any, error) {
		select {
		case <-end:
			return obedient(ctx, verb, args)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	a := r.ask("POST", "/api/v1/hosts/web1/plugins/tidy/upgrade?wait=1ms", "")
	var j Job
	_ = json.Unmarshal([]byte(a.text), &j)
	if a.StatusCode != http.StatusAccepted || j.State != jobRunning || a.Header.Get("Location") != "/api/v1/jobs/"+j.ID {
		t.Fatalf("%s %s %v", a.Status, a.text, a.Header)
	}
	if r.get(a.Header.Get("Location"), &j); j.State != jobRunning {
		t.Errorf("%+v", j)
	}
	close(end)
	bustest.Wait(t, soon, "the job to end", func() bool {
		r.get(a.Header.Get("Location"), &j)
		return j.State == jobDone
	})
	if j.Result == nil || j.Result.Changes[0].Action != "upgrade" {
		t.Errorf("%+v", j)
	}
}

// TestOperationsAreBounded has as many operations under way as may be, which all end by their deadline.
func TestOperationsAreBounded(t *testing.T) {
	r := start(t, nil, func(o *Options) { o.Times.Operate = 300 * time.Millisecond })
	for range mostOperations {
		r.working <- struct{}{}
	}
	if a := r.ask("POST", "/api/v1/hosts/web1/plugins/tidy/start", ""); a.StatusCode != 429 {
		t.Errorf("%s %s", a.Status, a.text)
	}
	for range mostOperations {
		<-r.working
	}
	r.fleet.answer = silent(nil)
	if a := r.ask("POST", "/api/v1/hosts/web1/plugins/tidy/start", ""); a.StatusCode != 504 || a.code() != "timeout" {
		t.Errorf("%s %s", a.Status, a.text)
	}
}

func TestJobsAreBounded(t *testing.T) {
	var k jobs
	begin := func() *Job { return k.begin(Job{}, func(*Job) {}) }
	first := begin()
	k.end(first, telemetry.ChangeList{}, nil)
	running := begin()
	for range mostJobs + 10 {
		k.end(begin(), telemetry.ChangeList{}, nil)
	}
	if len(k.all) > mostJobs || len(k.order) != len(k.all) {
		t.Errorf("%d jobs, %d in order", len(k.all), len(k.order))
	}
	if _, ok := k.get(first.ID); ok {
		t.Error("the oldest is still there")
	}
	if j, ok := k.get(running.ID); !ok || j.State != jobRunning {
		t.Error("one that runs has gone")
	}
	k.end(running, telemetry.ChangeList{}, problemOf(fmt.Errorf("odd")))
	if j, _ := k.get(running.ID); j.State != jobFailed || j.Error.Code != "internal" {
		t.Errorf("%+v", j)
	}
	running.Ended = time.Now().Add(-2 * jobTime).UnixNano()
	if _, ok := k.get(running.ID); ok {
		t.Error("a job of two hours ago is told")
	}
	begin()
	if k.all[running.ID] != nil {
		t.Error("a job of two hours ago is kept")
	}
	k.wait.Wait()
}

// TestNoJobAfterTheEnd begins jobs while they are closed: each has begun before, and is waited for, or does not begin.
func TestNoJobAfterTheEnd(t *testing.T) {
	for range 200 {
		var k jobs
		var over, late atomic.Bool
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				k.begin(Job{}, func(*Job) { late.Store(late.Load() || over.Load()) })
			})
		}
		k.close()
		k.wait.Wait()
		over.Store(true)
		all.Wait()
		if late.Load() {
			t.Fatal("a job has begun after the end")
		}
		if k.begin(Job{}, func(*Job) { t.Error("it runs") }) != nil {
			t.Fatal("a job begins after the end")
		}
	}
	r := start(t, nil, nil)
	r.close()
	if a := r.ask("POST", "/api/v1/hosts/web1/plugins/tidy/start", ""); a.StatusCode != 503 || a.code() != "ended" {
		t.Errorf("%s %s", a.Status, a.text)
	}
	if len(r.working) != 0 || r.fleet.orders() != "" {
		t.Error("it was begun")
	}
}

func TestStrictly(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		var v struct {
			A int            `json:"a"`
			B map[string]any `json:"b"`
		}
		err := decodeStrictly([]byte(text), &v)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	f(`{}`, "")
	f(` {"a": 1, "b": {"a": [1, {"a": 2}, []], "c": "a"}} `, "")
	f(`{"a": 1, "a": 2}`, `"a" is there twice`)
	f(`{"a": 1, "A": 2}`, `"A" is there twice`)
	f(`{"b": {"x": 1, "x": 2}}`, `"x" is there twice`)
	f(`{"b": {"x": [{"y": 1, "y": 1}]}}`, `"y" is there twice`)
	f(`{"c": 1}`, `unknown field "c"`)
	f(`{"a": "1"}`, "want int")
	f(`{"a": 1.5}`, "want int")
	f(`null`, "want an object")
	f(`[]`, "want an object")
	f(``, "ends too early")
	f(`{`, "ends too early")
	f(`{"a"`, "ends too early")
	f(`{"a" 1}`, "invalid character")
	f(`{"a": 1} x`, "behind the object")
	f(`{"b": {"x": `+strings.Repeat("[", mostDepth-2)+strings.Repeat("]", mostDepth-2)+`}}`, "")
	f(`{"b": {"x": `+strings.Repeat("[", mostDepth-1)+strings.Repeat("]", mostDepth-1)+`}}`, "nested deeper")
}

func FuzzStrictly(f *testing.F) {
	for _, text := range []string{`{"for": "2h"}`, `{"hosts": ["a", "b"]}`, `{"a": {"b": [1, {"c": null}]}}`, `{"a":1,"A":2}`, `[[[[`, `{"`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var v any
		if err := decodeStrictly(text, &v); err == nil && !json.Valid(text) {
			t.Errorf("%q is taken", text)
		}
	})
}
