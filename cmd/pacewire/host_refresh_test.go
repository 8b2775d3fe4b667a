package main

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// jobOf answers refresh and job: done grows with each question until all have answered, or will not.
func jobOf(end telemetry.RefreshJob) map[string]answer {
	var asked atomic.Uint64
	begun := time.Now()
	step := func(map[string]any) (any, *telemetry.Fault) {
		n := asked.Add(1)
		if n < 3 {
			return telemetry.RefreshJob{ID: "j1", Mode: end.Mode, Total: end.Total, Done: n, Begun: begun.UnixNano()}, nil
		}
		end := end
		end.ID, end.Done, end.Begun, end.Ended = "j1", end.Total, begun.UnixNano(), begun.Add(3200*time.Millisecond).UnixNano()
		return end, nil
	}
	return map[string]answer{"refresh": step, "job": step}
}

func TestRefresh(t *testing.T) {
	r := fleetOf(t, jobOf(telemetry.RefreshJob{Mode: "collect", Total: 40, Bytes: 2 << 20}))
	got := r.run("host", "refresh", "web1", "web2")
	expect(t, got, 0)
	if got.out != "40 of 40 hosts answered (collect), 2.0 MiB, in 3.2s\n" || got.err != "" {
		t.Errorf("%q, %q", got.out, got.err)
	}
	r.hub.expect(t, `refresh {"hosts":["web1","web2"],"mode":"collect"}`, `job {"id":"j1"}`, `job {"id":"j1"}`)
	expect(t, r.run("host", "refresh", "--all", "--mode", "cached"), 0)
	r.hub.expect(t, `refresh {"hosts":[],"mode":"cached"}`)
	expect(t, r.run("host", "refresh"), exitUsage, "of which hosts? Name them, or say --all")
	expect(t, r.run("host", "refresh", "--all", "web1"), exitUsage, "of which hosts?")
	expect(t, r.run("host", "refresh", "--all", "--mode", "new"), exitUsage, "want collect or cached")
}

func TestRefreshNothingNew(t *testing.T) {
	r := fleetOf(t, jobOf(telemetry.RefreshJob{Mode: "collect", Total: 40}))
	expect(t, r.run("host", "refresh", "--all"), 0, "40 of 40 hosts answered (collect), nothing has changed, in 3.2s")
	r = fleetOf(t, jobOf(telemetry.RefreshJob{Mode: "collect", Total: 1, Missing: 1, TimedOut: []string{"a"}}))
	expect(t, r.run("host", "refresh", "a"), exitFailed, "0 of 1 host answered (collect), 0 B, in 3.2s")
}

// Who did not answer is listed, apart by the reason.
func TestRefreshNonAnswers(t *testing.T) {
	end := telemetry.RefreshJob{Mode: "collect", Total: 40, Missing: 7, NotConnected: []string{"a1", "a2"}, TimedOut: []string{"b1"}, Failed: []string{"c1: busy"}}
	r := fleetOf(t, jobOf(end))
	got := r.run("host", "refresh", "--all")
	expect(t, got, exitFailed, "pacewire: 7 of 40 hosts did not answer")
	r.golden(t, "refresh.txt", got.out)
	got = r.run("host", "refresh", "--all", "-o", "json")
	expect(t, got, exitFailed)
	want := `{"id":"j1","mode":"collect","total":40,"done":40,"missing":7,"not_connected":["a1","a2"],"timeout":["b1"],"failed":["c1: busy"],"bytes":0,"took_ms":3200,` +
		`"error":{"code":"internal","message":"7 of 40 hosts did not answer"}}` + "\n"
	if got.out != want {
		t.Errorf("%s, want %s", got.out, want)
	}
}

// A hub that is silent for a while is waited for; one that does not know the job has taken over.
func TestRefreshHubGone(t *testing.T) {
	verbs := jobOf(telemetry.RefreshJob{Mode: "collect", Total: 2})
	var asked atomic.Int64
	known := verbs["job"]
	verbs["job"] = func(args map[string]any) (any, *telemetry.Fault) {
		if asked.Add(1) == 1 {
			return nil, &telemetry.Fault{Code: telemetry.FaultNotFound, Message: "no such job"}
		}
		return known(args)
	}
	r := fleetOf(t, verbs)
	expect(t, r.run("host", "refresh", "--all"), exitFailed, "the hub that ran the refresh is gone, after 1 of 2 hosts")
	expect(t, r.run("host", "refresh", "--all"), 0)
	r.hub.set("refresh", fails(telemetry.FaultInvalid, "bad request"))
	expect(t, r.run("host", "refresh", "--all", "-o", "json"), exitConfig, `"error":{"code":"invalid","message":"bad request"}`)
}

// An interrupt leaves the job to the hub, and says so.
func TestRefreshInterrupted(t *testing.T) {
	asked := make(chan bool, 100)
	job := telemetry.RefreshJob{ID: "j1", Mode: "collect", Total: 9, Done: 2}
	fleetOf(t, map[string]answer{"refresh": says(job), "job": func(map[string]any) (any, *telemetry.Fault) {
		asked <- true
		return job, nil
	}})
	out, errs, stop := background(t, "host", "refresh", "--all")
	select {
	case <-asked:
	case <-time.After(soon):
		t.Fatalf("the job is not followed: %s", errs)
	}
	if code := stop(); code != exitFailed || !strings.Contains(errs.String(), "interrupted at 2 of 9 hosts: the refresh goes on at the hub") || out.String() != "" {
		t.Errorf("exit code %d, %q, %q", code, out.String(), errs.String())
	}
}

func TestJobBar(t *testing.T) {
	f := func(job telemetry.RefreshJob, want string) {
		t.Helper()
		if got := jobBar(job); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(telemetry.RefreshJob{}, "refresh ["+strings.Repeat(".", 30)+"] 0 of 0 hosts, 0 B")
	f(telemetry.RefreshJob{Total: 5000, Done: 2500, Bytes: 3 << 20, Missing: 4}, "refresh ["+strings.Repeat("#", 15)+strings.Repeat(".", 15)+"] 2500 of 5000 hosts, 3.0 MiB, 4 did not answer")
	f(telemetry.RefreshJob{Total: 2, Done: 9}, "refresh ["+strings.Repeat("#", 30)+"] 9 of 2 hosts, 0 B")
}

func TestBytesText(t *testing.T) {
	f := func(n uint64, want string) {
		t.Helper()
		if got := bytesText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	f(0, "0 B")
	f(1023, "1023 B")
	f(1536, "1.5 KiB")
	f(5<<20, "5.0 MiB")
	f(3<<30, "3.0 GiB")
}
