package plugin

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// An order keeps the batches of each source, a plugin of a host, one after the other, while several lanes work: one reads for
// all, and what is of one source goes to one lane. Of several processes only the one reads that has the lease.
type order struct {
	take  func(ctx context.Context) (lease, error)
	read  func(ctx context.Context, in telemetry.Input) (source, error)
	stand func(by bool) // tells that it is another process that reads
	lanes int

	opening sync.Mutex // who opens an input; the other lanes wait for it
	feeds   map[string]*feed
	lease   lease         // nil: it was not taken yet
	taken   chan struct{} // closed when it is
}

// lease is what lets this process read, and no other one.
type lease interface {
	Sure() bool // that it is ours; for who was suspended it is not, until it has asked
	Lost() <-chan struct{}
	Release()
}

// errLeaseLost ends the lanes of a process that was silent for so long that another one may read by now.
var errLeaseLost = errors.New("the lease of this process is over: it had no contact with the bus for too long")

// orderOf returns what keeps the order that the work asks for, nil when it asks for none.
func (l *life) orderOf(work telemetry.Work, lanes int) *order {
	if work.Order != telemetry.OrderSource {
		return nil
	}
	b := l.link
	return &order{
		lanes: lanes, feeds: map[string]*feed{}, taken: make(chan struct{}), stand: l.standsBy,
		take: func(ctx context.Context) (lease, error) {
			return patient(ctx, func() (lease, error) { return b.conn.TakeLease(ctx, b.plugin) })
		},
		read: func(ctx context.Context, in telemetry.Input) (source, error) {
			return patient(ctx, func() (source, error) { return b.readInOrder(ctx, in) })
		},
	}
}

// awayLook is how often is tried what the bus does not answer: a lease is lost when it is away, so to look for another one is no
// fault.
const awayLook = 500 * time.Millisecond

// patient does what do does, again while the bus is away, until ctx ends.
func patient[T any](ctx context.Context, do func() (T, error)) (T, error) {
	for {
		v, err := do()
		away := errors.Is(err, bus.ErrDisconnected) || errors.Is(err, bus.ErrTimeout) || errors.Is(err, bus.ErrNoResponders)
		if !away || !sleep(ctx, awayLook) {
			return v, err
		}
	}
}

// lane returns the link of the n-th lane.
func (o *order) lane(l link, n int) link {
	if o == nil {
		return l
	}
	return laneLink{l, o, n}
}

// watch returns an error when the lease is lost before ctx ends.
func (o *order) watch(ctx context.Context) error {
	if o == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-o.taken:
	}
	select {
	case <-ctx.Done():
		return nil
	case <-o.lease.Lost():
		return errLeaseLost
	}
}

// end closes what is open still, and gives the lease to the next process. All lanes have ended, some perhaps before they read.
func (o *order) end(ctx context.Context) error {
	if o == nil {
		return nil
	}
	var all []error
	for _, f := range o.feeds {
		all = append(all, f.end(ctx))
	}
	if o.lease != nil {
		o.lease.Release()
	}
	return errors.Join(all...)
}

// open returns what feeds the lanes from an input. The first who asks opens it.
func (o *order) open(ctx context.Context, in telemetry.Input) (*feed, error) {
	o.opening.Lock()
	defer o.opening.Unlock()
	name := in.Stream + "/" + in.Durable
	if f := o.feeds[name]; f != nil {
		return f, nil
	}
	if err := o.await(ctx); err != nil {
		return nil, err
	}
	src, err := o.read(ctx, in)
	if err != nil {
		return nil, err
	}
	f := newFeed(ctx, src, o.lanes, o.lease.Sure)
	o.feeds[name] = f
	return f, nil
}

// await returns when this process may read.
func (o *order) await(ctx context.Context) error {
	if o.lease != nil {
		return nil
	}
	o.stand(true)
	defer o.stand(false)
	got, err := o.take(ctx)
	if err != nil {
		return err
	}
	o.lease = got
	close(o.taken)
	return nil
}

// A laneLink is the link of one lane: it reads what is of its sources.
type laneLink struct {
	link
	order *order
	n     int
}

func (l laneLink) read(ctx context.Context, in telemetry.Input) (source, error) {
	f, err := l.order.open(ctx, in)
	if err != nil {
		return nil, err
	}
	return &laneSource{f, l.n}, nil
}

// laneRoom is how many deliveries may wait for a lane. What more comes for it holds up the others: what was read is bounded.
const laneRoom = 8

// A feed reads one input for all lanes.
type feed struct {
	src   source
	lanes []chan *delivery
	seed  maphash.Seed
	sure  func() bool // that nobody else reads
	stop  context.CancelFunc
	done  chan struct{} // closed when no more comes
	err   error         // why

	mu    sync.Mutex
	open  int // lanes that have not been closed
	ended bool
}

func newFeed(ctx context.Context, src source, lanes int, sure func() bool) *feed {
	ctx, stop := context.WithCancel(ctx)
	f := &feed{src: src, lanes: make([]chan *delivery, lanes), seed: maphash.MakeSeed(), sure: sure, stop: stop, done: make(chan struct{}), open: lanes}
	for n := range f.lanes {
		f.lanes[n] = make(chan *delivery, laneRoom)
	}
	go f.run(ctx)
	return f
}

// run gives each lane what is of its sources, until ctx or the input ends.
func (f *feed) run(ctx context.Context) {
	defer close(f.done)
	for {
		d, err := f.src.next(ctx)
		if err != nil {
			f.err = err
			return
		}
		if err := f.certain(ctx); err != nil {
			d.again(0)
			f.err = err
			return
		}
		select {
		case f.lanes[f.laneOf(d)] <- d:
		case <-ctx.Done():
			d.again(0)
			f.err = ctx.Err()
			return
		}
	}
}

// sureLook is how often who was suspended looks whether it is known by now who has the lease. If another has, ctx ends.
const sureLook = 20 * time.Millisecond

// certain returns when nobody else reads, or ctx ends: what is worked on then is not worked on elsewhere, before or after.
func (f *feed) certain(ctx context.Context) error {
	for !f.sure() {
		if !sleep(ctx, sureLook) {
			return ctx.Err()
		}
	}
	return nil
}

func (f *feed) laneOf(d *delivery) int {
	var h maphash.Hash
	h.SetSeed(f.seed)
	_, _ = h.WriteString(d.host)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(d.plugin)
	return int(h.Sum64() % uint64(len(f.lanes)))
}

// close ends one lane, the last one the whole.
func (f *feed) close(ctx context.Context) error {
	f.mu.Lock()
	f.open--
	last := f.open == 0
	f.mu.Unlock()
	if !last {
		return nil
	}
	return f.end(ctx)
}

// end gives back what no lane has worked on. Again it does nothing.
func (f *feed) end(ctx context.Context) error {
	f.mu.Lock()
	again := f.ended
	f.ended = true
	f.mu.Unlock()
	if again {
		return nil
	}
	f.stop()
	<-f.done
	for _, lane := range f.lanes {
		for len(lane) > 0 {
			(<-lane).again(0)
		}
	}
	return f.src.close(ctx)
}

// A laneSource is what a lane reads of a feed.
type laneSource struct {
	*feed
	n int
}

func (s *laneSource) next(ctx context.Context) (*delivery, error) {
	if err := s.certain(ctx); err != nil {
		return nil, err
	}
	select {
	case d := <-s.lanes[s.n]:
		return d, nil
	default:
	}
	select {
	case d := <-s.lanes[s.n]:
		return d, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.done:
	}
	if len(s.lanes[s.n]) > 0 {
		return <-s.lanes[s.n], nil
	}
	return nil, s.err
}

func (s *laneSource) ready() int { return len(s.lanes[s.n]) }

// readInOrder opens an input that another process may have read before: what that one had in hand comes first.
func (l *busLink) readInOrder(ctx context.Context, in telemetry.Input) (source, error) {
	place, err := l.left(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("place of %s: %w", in.Durable, err)
	}
	src, err := l.consume(ctx, in, bus.ConsumeOptions{Expires: bus.LeaseExpires})
	if err != nil || place.AckPending == 0 {
		return src, err
	}
	return &firstThings{source: src, left: place.AckPending, last: place.Delivered}, nil
}

// left returns where the process that read before has left the input, once it does not ask for more any more. The questions of one
// that is suspended, or whose machine is gone, stay for LeaseExpires; those of a reader without order for ever, and are not waited for.
func (l *busLink) left(ctx context.Context, in telemetry.Input) (bus.ConsumerState, error) {
	until := time.Now().Add(leftMost)
	for {
		place, err := l.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
		if err != nil || place.Waiting == 0 || time.Now().After(until) {
			return place, err
		}
		if !sleep(ctx, leftLook) { // of one that was stopped, its last question ends by itself
			return place, ctx.Err()
		}
	}
}
