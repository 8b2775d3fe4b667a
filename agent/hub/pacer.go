package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	inFlight    = 64   // hosts refreshed at a time
	cachedRate  = 2000 // a second: facts are only sent again
	collectRate = 500  // they are collected: hosts have work with it
	mostWanted  = 500  // entries asked for in one request

	manifestTime = 5 * time.Second  // for the list
	collectTime  = 60 * time.Second // for collecting
	arriveTime   = 10 * time.Second // for what was asked to arrive and be stored

	patienceLeast = 10 * time.Second
	patienceMost  = 10 * time.Minute
)

// pacer bounds what hosts are asked at a time: broadcast, their answers would come all at once, and be lost.
type pacer struct {
	room    chan struct{}
	mu      sync.Mutex
	next    time.Time // when another host may be asked
	work    sync.WaitGroup
	shelves shelves
	end     context.Context //nolint:containedctx // of the pacer's own work
	stop    context.CancelFunc
}

func (p *pacer) init() {
	p.room = make(chan struct{}, inFlight)
	p.end, p.stop = context.WithCancel(context.Background())
	p.shelves.init()
}

// run starts work, unless all of it has ended.
func (p *pacer) run(do func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end.Err() != nil {
		return false
	}
	p.work.Go(do)
	return true
}

// wait ends all of it.
func (p *pacer) wait() {
	p.mu.Lock()
	p.stop()
	p.mu.Unlock()
	p.work.Wait()
	p.shelves.close()
}

// enter waits for room and for the pace.
func (p *pacer) enter(rate int) bool {
	select {
	case p.room <- struct{}{}:
	case <-p.end.Done():
		return false
	}
	p.mu.Lock()
	now := time.Now()
	at := now
	if p.next.After(now) {
		at = p.next
	}
	p.next = at.Add(time.Second / time.Duration(rate))
	p.mu.Unlock()
	if !sleep(p.end, time.Until(at)) {
		p.leave()
		return false
	}
	return true
}

func (p *pacer) leave() { <-p.room }

// asking is a refresh of one host that is under way; a second one joins it.
type asking struct {
	mode   string
	done   chan struct{} // closed at its end
	err    error         // read after done
	bytes  uint64        // that came; likewise
	before *asking       // that has to end first

	wanted map[entry]bool // asked and not stored yet; the lock of the hub guards it and lost
	lost   error          // why one of them will not be stored
	all    chan struct{}  // closed when nothing is wanted any more
}

// came notes that an entry of so many bytes is stored. The caller has the lock.
func (x *host) came(e entry, size int) {
	for a := x.asking; a != nil; a = a.before {
		if !a.wanted[e] {
			continue
		}
		delete(a.wanted, e)
		a.bytes += uint64(size)
		if len(a.wanted) == 0 {
			close(a.all)
		}
	}
}

// lost notes that an entry came and will not be stored: whoever waits for it need not. The caller has the lock.
func (x *host) lost(e entry, err error) {
	for a := x.asking; a != nil; a = a.before {
		if a.wanted[e] {
			a.wanted, a.lost = nil, err
			close(a.all)
		}
	}
}

// silenced ends what waits for entries: those that come to a hub that does not speak are not kept. The caller has the lock.
func (x *host) silenced() {
	for a := x.asking; a != nil; a = a.before {
		if len(a.wanted) > 0 {
			a.wanted, a.lost = nil, ErrNotSpeaker
			close(a.all)
		}
	}
}

// patience is how long a host is not asked again whose answers did not help: its digest still differs.
type patience struct {
	until time.Time
	wait  time.Duration
	asked bool
}

func (p *patience) well() { *p = patience{} }

// answered notes that the host was asked, and what came of it. The first answer may be overtaken by another change.
func (p *patience) answered(err error, now time.Time) {
	if err == nil && !p.asked {
		p.asked = true
		return
	}
	p.wait = min(max(2*p.wait, patienceLeast), patienceMost)
	p.until = now.Add(p.wait)
}

// ask begins a refresh of x for what is missing, unless one is under way or has just failed, or there is no room for it. The caller has the lock.
func (h *Hub) ask(x *host, want []string) {
	if now := time.Now(); x.asking != nil || now.Before(x.patient.until) || now.Before(h.full.until) {
		return
	}
	h.counts.add("inventory_asked", 1)
	h.begin(x, telemetry.ModeCached, want)
}

// begin starts a refresh of x, or joins one of the same mode. The caller has the lock.
func (h *Hub) begin(x *host, mode string, want []string) *asking {
	if a := x.asking; a != nil && (a.mode == mode || mode == telemetry.ModeCached) {
		return a
	}
	a := &asking{mode: mode, done: make(chan struct{}), before: x.asking}
	x.asking = a
	if !h.pace.run(func() {
		defer close(a.done)
		if a.before != nil {
			<-a.before.done
		}
		rate := cachedRate
		if mode == telemetry.ModeCollect {
			rate = collectRate
		}
		if a.err = errStopped; h.pace.enter(rate) {
			a.err = h.fetch(h.pace.end, x, a, want)
			h.pace.leave()
		}
		h.fetched(x, a)
	}) {
		a.err = errStopped
		close(a.done)
	}
	return a
}

var errStopped = errors.New("hub ends")

// fetched ends a refresh.
func (h *Hub) fetched(x *host, a *asking) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a.before = nil
	if x.asking == a {
		x.asking = nil
	}
	if errors.Is(a.err, ErrNotSpeaker) {
		x.patient.well() // the host has done nothing wrong
	} else {
		x.patient.answered(a.err, time.Now())
	}
	if a.err != nil {
		h.counts.add("refresh_failed", 1)
	}
}

// fetch asks a host what it has, and then for what is missing here.
func (h *Hub) fetch(ctx context.Context, x *host, a *asking, want []string) error {
	if want == nil {
		limit := manifestTime
		if a.mode == telemetry.ModeCollect {
			limit = collectTime
			if err := h.ping(ctx, x.id); err != nil {
				return err // who does not even answer that would hold a place for a minute
			}
		}
		list, err := h.list(ctx, x.id, a.mode, limit)
		if err != nil {
			return err
		}
		h.mu.Lock()
		want = h.missing(x, list)
		h.mu.Unlock()
	}
	if len(want) == 0 {
		return nil
	}
	return h.want(ctx, x, a, want)
}

// want asks for entries and waits until they are stored.
func (h *Hub) want(ctx context.Context, x *host, a *asking, want []string) error {
	all := make(chan struct{})
	h.mu.Lock()
	if !h.voice.mine {
		h.mu.Unlock()
		return ErrNotSpeaker
	}
	a.wanted, a.all = map[entry]bool{}, all
	for _, w := range want {
		a.wanted[entryOf(w)] = true
	}
	h.mu.Unlock()
	for some := range slices.Chunk(want, mostWanted) {
		if _, err := h.refresh(ctx, x.id, telemetry.CtlRequest{Want: some, Mode: telemetry.ModeCached}, manifestTime); err != nil {
			return err
		}
	}
	late := time.NewTimer(arriveTime)
	defer late.Stop()
	select {
	case <-all:
	case <-late.C:
	case <-ctx.Done():
		return errStopped
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(a.wanted) == 0 {
		return a.lost
	}
	one, _ := anyOf(a.wanted)
	return fmt.Errorf("%w: %d of %d entries did not come, among them %s", bus.ErrTimeout, len(a.wanted), len(want), one)
}

func anyOf(m map[entry]bool) (entry, bool) {
	for e := range m {
		return e, true
	}
	return entry{}, false
}

// list returns what a host has.
func (h *Hub) list(ctx context.Context, id, mode string, limit time.Duration) ([]telemetry.InventoryItem, error) {
	var list []telemetry.InventoryItem
	for {
		r := telemetry.CtlRequest{Want: []string{}, Mode: mode}
		if n := len(list); n > 0 {
			r.Args = map[string]any{"after": list[n-1].Plugin + "/" + list[n-1].Type}
		}
		page, err := h.refresh(ctx, id, r, limit)
		if err != nil {
			return nil, err
		}
		for _, it := range page.Items {
			list = append(list, it.InventoryItem)
		}
		if !page.More || len(page.Items) == 0 {
			return list, nil
		}
		if len(list) > mostEntries {
			return nil, fmt.Errorf("inventory of %s has more than %d entries", id, mostEntries)
		}
		mode, limit = telemetry.ModeCached, manifestTime // once is enough
	}
}

// refresh sends one request of a refresh.
func (h *Hub) refresh(ctx context.Context, id string, r telemetry.CtlRequest, limit time.Duration) (m telemetry.RefreshManifest, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	reply, err := h.request(ctx, id, "refresh", r)
	switch {
	case err != nil:
		return m, err
	case !reply.OK && reply.Error != nil:
		return m, fmt.Errorf("%s: %s", reply.Error.Code, reply.Error.Message)
	}
	m, _, err = telemetry.DecodeRefreshManifest(reply.Payload)
	return m, err
}

// jobs are the refreshes that somebody has ordered.
type jobs struct {
	mu   sync.Mutex
	list []*job // the newest last
}

const (
	mostJobs   = 100 // that are remembered
	mostAlive  = 8   // that are under way: each of all hosts waits in the same line
	mostListed = 300 // hosts of a job that are named
)

type job struct {
	mu sync.Mutex
	telemetry.RefreshJob
}

func (j *job) state() telemetry.RefreshJob {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.RefreshJob
	s.NotConnected, s.TimedOut, s.Failed = slices.Clone(s.NotConnected), slices.Clone(s.TimedOut), slices.Clone(s.Failed)
	return s
}

// ended notes what became of one host.
func (j *job) ended(id string, bytes uint64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.Done++
	j.Bytes += bytes
	if err != nil {
		j.Missing++
	}
	list := &j.Failed
	switch {
	case err == nil:
		return
	case errors.Is(err, ErrNotConnected):
		list = &j.NotConnected
	case errors.Is(err, bus.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		list = &j.TimedOut
	default:
		id += ": " + err.Error()
	}
	if len(*list) < mostListed {
		*list = append(*list, id)
		slices.Sort(*list)
	}
}

// add remembers a job that begins, in place of the oldest one that has ended. Errors: ErrBusy.
func (all *jobs) add(j *job) error {
	all.mu.Lock()
	defer all.mu.Unlock()
	alive, ended := 0, -1
	for i, one := range all.list {
		switch {
		case one.state().Ended == 0:
			alive++
		case ended < 0:
			ended = i
		}
	}
	if alive >= mostAlive {
		return fmt.Errorf("%w: %d, and no more are begun: wait until one has ended", ErrBusy, alive)
	}
	if len(all.list) >= mostJobs {
		all.list = slices.Delete(all.list, ended, ended+1)
	}
	all.list = append(all.list, j)
	return nil
}

// Refresh begins a refresh of hosts, of all when none is named, and returns at once. mode is telemetry.ModeCached or
// ModeCollect. Errors: ErrNoHost, ErrNotSpeaker, ErrBusy.
func (h *Hub) Refresh(hosts []string, mode string) (telemetry.RefreshJob, error) {
	ids, err := h.resolveAll(hosts)
	if err != nil {
		return telemetry.RefreshJob{}, err
	}
	j := &job{RefreshJob: telemetry.RefreshJob{ID: newID() + newID(), Mode: mode, Total: uint64(len(ids)), Begun: time.Now().UnixNano()}}
	if err := h.jobs.add(j); err != nil {
		return telemetry.RefreshJob{}, err
	}
	if !h.pace.run(func() { h.refreshAll(ids, j) }) {
		return telemetry.RefreshJob{}, errStopped
	}
	return j.state(), nil
}

// refreshAll asks one host after the other, as the pace allows.
func (h *Hub) refreshAll(ids []string, j *job) {
	var g sync.WaitGroup
	room := make(chan struct{}, 2*inFlight)
	for _, id := range ids {
		room <- struct{}{}
		h.mu.Lock()
		x := h.fleet[id]
		var a *asking
		if x != nil {
			a = h.begin(x, j.Mode, nil)
		}
		h.mu.Unlock()
		g.Go(func() {
			defer func() { <-room }()
			if a == nil {
				j.ended(id, 0, ErrNoHost)
				return
			}
			<-a.done
			j.ended(id, a.bytes, a.err)
		})
	}
	g.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.Ended = time.Now().UnixNano()
}

// Job returns how far a refresh is. Errors: ErrNoJob.
func (h *Hub) Job(id string) (telemetry.RefreshJob, error) {
	h.jobs.mu.Lock()
	defer h.jobs.mu.Unlock()
	for _, j := range h.jobs.list {
		if j.ID == id {
			return j.state(), nil
		}
	}
	return telemetry.RefreshJob{}, fmt.Errorf("%w: %s", ErrNoJob, id)
}
