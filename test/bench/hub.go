package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/fleet"
	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/telemetry"
)

// A watched is a bus, a hub and simulated hosts: each of the first two in a process of its own, the hosts in this one.
type watched struct {
	s    settings
	bus  *lab.Process
	url  string
	hub  *lab.Process
	conn *bus.Conn
}

// watch starts a bus and a hub.
func watch(ctx context.Context, s settings, sync string) (w *watched, err error) {
	w = &watched{s: s}
	if w.bus, w.url, err = startRawBus(ctx, s, sync); err != nil {
		return nil, err
	}
	if err = w.startHub(ctx); err == nil {
		w.conn, err = bus.Dial(ctx, bus.Options{URL: w.url, User: "operator", Wait: 10 * time.Second})
	}
	if err != nil {
		w.stop()
		return nil, err
	}
	return w, nil
}

func (w *watched) startHub(ctx context.Context) error {
	place := lab.Place{Dir: filepath.Join(w.s.dir, "hub"), Binary: w.s.binary}
	if err := os.MkdirAll(place.Dir, 0o755); err != nil {
		return err
	}
	config, err := place.Write("pacewire.yaml", "host: bench\nbus: "+w.url+"\nweb: off\n")
	if err == nil {
		w.hub, err = lab.Start(place.Command(ctx, "hub", config))
	}
	return err
}

func (w *watched) stop() {
	if w.conn != nil {
		w.conn.Close()
	}
	if w.hub != nil {
		w.hub.Kill()
	}
	stopRawBus(w.bus)
}

// until waits for the hub to be as ok says.
func (w *watched) until(ctx context.Context, limit time.Duration, ok func(telemetry.HubStatus) bool) (s telemetry.HubStatus, err error) {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		if s, err = lab.HubStatus(ctx, w.conn); err == nil && ok(s) {
			return s, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
	return s, errors.Join(err, fmt.Errorf("hub did not come to it in %v: %v hosts, %v\n%s", limit, s.States, s.Counts, w.hub.Log.Tail()))
}

func allUp(hosts int) func(telemetry.HubStatus) bool {
	return func(s telemetry.HubStatus) bool { return s.States[telemetry.HostUp] == uint64(hosts) }
}

// told counts the events that the hub has published since a time, by type.
func (w *watched) told(ctx context.Context, since time.Time) (map[string]int, error) {
	counts := map[string]int{}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := w.conn.Tap(ctx, bus.TapOptions{Stream: bus.StreamEvents, Since: since, Once: true}, func(t bus.Tapped) error {
		counts[t.Subject.Verb]++
		return nil
	})
	return counts, err
}

const (
	enrolWithin = 5 * time.Minute
	beatEvery   = 10 * time.Second
	factBytes   = 16 << 10
)

// hubs measures a hub with many hosts: what a beat costs, a restart of the bus, and a refresh.
func hubs(ctx context.Context, s settings) ([]row, error) {
	w, err := watch(ctx, s, "always")
	if err != nil {
		return nil, err
	}
	defer w.stop()
	f, err := fleet.Start(ctx, fleet.Options{URL: w.url, Hosts: s.hosts, Interval: beatEvery})
	if err != nil {
		return nil, err
	}
	defer f.Stop()
	if _, err := w.until(ctx, enrolWithin, allUp(s.hosts)); err != nil {
		return nil, err
	}
	if err := w.settled(ctx, f); err != nil {
		return nil, err
	}
	rows, err := w.steady(ctx, f)
	if err != nil {
		return rows, err
	}
	more, err := w.restartBus(ctx)
	return append(rows, more...), err
}

// settled waits until nothing of the enrolment is left to do.
func (w *watched) settled(ctx context.Context, f *fleet.Fleet) error {
	for last := uint64(0); ; {
		select {
		case <-time.After(beatEvery + 2*time.Second): // a beat of everybody
		case <-ctx.Done():
			return ctx.Err()
		}
		now := f.Stats().Refreshes
		if now == last {
			return nil
		}
		last = now
	}
}

// steady measures hosts that beat, and nothing else.
func (w *watched) steady(ctx context.Context, f *fleet.Fleet) ([]row, error) {
	pids := []int{w.hub.PID(), w.bus.PID(), os.Getpid()}
	cpu := func() (all [3]time.Duration, err error) {
		for i, pid := range pids {
			if all[i], err = lab.CPU(pid); err != nil {
				return all, err
			}
		}
		return all, nil
	}
	before, err := cpu()
	stats := f.Stats()
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(w.s.idle):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	after, err := cpu()
	if err != nil {
		return nil, err
	}
	now := f.Stats()
	beats := float64(now.Beats - stats.Beats)
	if beats == 0 || now.Acks == stats.Acks {
		return nil, errors.New("no beats, or no acks")
	}
	micros := func(i int) float64 { return float64((after[i] - before[i]).Microseconds()) / beats }
	core := func(i int) float64 { return (after[i] - before[i]).Seconds() / w.s.idle.Seconds() * 100 }
	carried := beatEvery.Seconds() * 0.5e6 / micros(0)
	title := fmt.Sprintf("%d hosts, beats of %v: ", w.s.hosts, beatEvery)
	both := core(0) + core(1)
	return []row{
		{title + "hub and bus, % of a core", fmt.Sprintf("%.1f", both), fmt.Sprintf("hub %.1f, bus %.1f, the hosts themselves %.1f", core(0), core(1), core(2)), "15", "5", judge(both, 15, 5, true)},
		{title + "CPU µs for HTB and ACK, hub / bus", fmt.Sprintf("%.1f / %.1f", micros(0), micros(1)), fmt.Sprintf("a simulated host: %.1f", micros(2)), "", "", noBar},
		{title + "hosts that a hub carries at half a core", fmt.Sprintf("%.0f", carried), "", "", "", noBar},
		{title + "ACK ms, p50 / p99 / max since the start", fmt.Sprintf("%.2f / %.2f / %.0f", ms(now.P50), ms(now.P99), ms(now.Max)), "", "", "", noBar},
		{title + "memory of the hub, MB resident / at its peak", fmt.Sprintf("%.0f / %.0f", float64(lab.Memory(pids[0], "status", "VmRSS:"))/1e6,
			float64(lab.Memory(pids[0], "status", "VmHWM:"))/1e6), fmt.Sprintf("%.1f kB a host", float64(lab.Memory(pids[0], "status", "VmRSS:"))/1e3/float64(w.s.hosts)), "", "", noBar},
	}, nil
}

// restartBus kills the bus and starts it again: nobody must be called dead for it.
func (w *watched) restartBus(ctx context.Context) ([]row, error) {
	at, err := url.Parse(w.url)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	w.bus.Kill()
	time.Sleep(3 * time.Second)
	if w.bus, _, err = (lab.RawBus{Dir: rawStore(w.s), Sync: "always", Listen: at.Host}).Start(ctx); err != nil {
		return nil, err
	}
	if _, err := w.until(ctx, time.Minute, allUp(w.s.hosts)); err != nil {
		return nil, err
	}
	up := time.Since(begun)
	select {
	case <-time.After(90 * time.Second): // twice as long as anybody may be silent
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	counts, err := w.told(ctx, begun)
	if err != nil {
		return nil, err
	}
	r := row{fmt.Sprintf("%d hosts, the bus is killed and back after 3 s: false DOWN", w.s.hosts), fmt.Sprint(counts["down"]),
		fmt.Sprintf("everybody UP again after %.0f s; all events: %v", up.Seconds(), counts), "0", "0", judge(float64(counts["down"]), 0, 0, true)}
	if counts["down"] > 0 {
		err = fmt.Errorf("%d hosts were called DOWN though only the bus was away", counts["down"])
	}
	return []row{r}, err
}

// refreshes measures how fast a hub has the inventories of many hosts, all of which have changed.
func refreshes(ctx context.Context, s settings) ([]row, error) {
	w, err := watch(ctx, s, "always")
	if err != nil {
		return nil, err
	}
	defer w.stop()
	hosts := max(1, s.hosts/2)
	f, err := fleet.Start(ctx, fleet.Options{URL: w.url, Hosts: hosts, Interval: time.Minute, Spread: 5 * time.Second, Plugins: 1, Inventory: factBytes})
	if err != nil {
		return nil, err
	}
	defer f.Stop()
	if _, err := w.until(ctx, enrolWithin, allUp(hosts)); err != nil {
		return nil, err
	}
	if err := w.settled(ctx, f); err != nil {
		return nil, err
	}
	f.ChangeUnheard(f.Names()...)
	before := f.Stats()
	job, took, err := w.order(ctx)
	if err != nil {
		return nil, err
	}
	sent := f.Stats()
	r := row{fmt.Sprintf("refresh of %d hosts x 16 KiB, to the disk of the bus: s", hosts), fmt.Sprintf("%.1f", took.Seconds()),
		fmt.Sprintf("%d lost; %d entries, %.0f MB", job.Missing, sent.Entries-before.Entries, float64(sent.BytesOut-before.BytesOut)/1e6), "5", "4", judge(took.Seconds(), 5, 4, true)}
	if job.Missing > 0 {
		err = fmt.Errorf("%d of %d hosts did not answer: %v %v %v", job.Missing, hosts, job.NotConnected, job.TimedOut, job.Failed)
	}
	return []row{r}, err
}

// order begins a refresh of all and waits for its end.
func (w *watched) order(ctx context.Context) (job telemetry.RefreshJob, took time.Duration, err error) {
	begun := time.Now()
	reply, err := lab.AskHub(ctx, w.conn, "refresh", telemetry.CtlRequest{Mode: telemetry.ModeCached})
	for err == nil {
		if job, _, err = telemetry.DecodeRefreshJob(reply.Payload); err != nil || job.Ended > 0 {
			return job, time.Since(begun), err
		}
		if !wait(ctx, 50*time.Millisecond) {
			return job, 0, ctx.Err()
		}
		reply, err = lab.AskHub(ctx, w.conn, "job", telemetry.CtlRequest{Args: map[string]any{"id": job.ID}})
	}
	return job, 0, err
}

// recorded is how many hosts a registry has whose loading is measured.
const recorded = 100_000

// registry measures how long a hub takes to know again what it has known before.
func registry(ctx context.Context, s settings) ([]row, error) {
	empty, _, err := loadRegistry(ctx, s, 0)
	if err != nil {
		return nil, err
	}
	full, memory, err := loadRegistry(ctx, s, recorded)
	if err != nil {
		return nil, err
	}
	return []row{{fmt.Sprintf("registry of %d hosts: s from exec to knowing them", recorded), fmt.Sprintf("%.2f", full.Seconds()),
		fmt.Sprintf("of 0 hosts: %.2f; %.0f MB resident", empty.Seconds(), memory), "", "", noBar}}, nil
}

// loadRegistry starts a hub on a registry of so many hosts, and returns how long it takes until it answers, and its memory in MB.
func loadRegistry(ctx context.Context, s settings, hosts int) (time.Duration, float64, error) {
	w, err := watch(ctx, s, "1s")
	if err != nil {
		return 0, 0, err
	}
	defer w.stop()
	if _, err := w.until(ctx, time.Minute, func(s telemetry.HubStatus) bool { return s.Voice }); err != nil {
		return 0, 0, err
	}
	if err := w.hub.Stop(stopWithin); err != nil {
		return 0, 0, err
	}
	if err := w.record(ctx, hosts); err != nil {
		return 0, 0, err
	}
	begun := time.Now()
	if err := w.startHub(ctx); err != nil {
		return 0, 0, err
	}
	_, err = w.until(ctx, time.Minute, func(s telemetry.HubStatus) bool {
		sum := uint64(0)
		for _, n := range s.States {
			sum += n
		}
		return sum == uint64(hosts) && s.Voice
	})
	return time.Since(begun), float64(lab.Memory(w.hub.PID(), "status", "VmRSS:")) / 1e6, err
}

// record writes a registry of hosts that are UP.
func (w *watched) record(ctx context.Context, hosts int) error {
	bucket, err := w.conn.Bucket(ctx, bus.BucketHosts)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(64)
	now := time.Now().UnixNano()
	for i := range hosts {
		g.Go(func() error {
			r := telemetry.HostRecord{Version: telemetry.ProtocolVersion, Host: fmt.Sprintf("host-%06d", i), State: telemetry.HostUp, Since: now, Seen: now,
				IntervalMS: beatEvery.Milliseconds(), Boot: "00000000-0000-4000-8000-000000000000", Inst: fmt.Sprintf("%016x", i), Gen: 1, OS: "linux", Arch: "amd64",
				Labels: map[string]string{"site": "lab", "rack": "a7"}}
			for _, plugin := range []string{"agent", "cpu", "disk", "net", "out"} {
				r.Items = append(r.Items, telemetry.InventoryItem{Plugin: plugin, Type: telemetry.DataManifest, Version: "1.2.3", Digest: telemetry.DigestOf([]byte(plugin))},
					telemetry.InventoryItem{Plugin: plugin, Type: telemetry.DataStatus, Version: "1.2.3", Digest: telemetry.DigestOf([]byte(plugin))})
			}
			body, err := telemetry.EncodeControl(r, telemetry.MsgPack)
			if err == nil {
				_, err = bucket.Put(ctx, bus.Key(r.Host), body)
			}
			return err
		})
	}
	return g.Wait()
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
