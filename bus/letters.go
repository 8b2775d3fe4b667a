package bus

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pacewire/pacewire/telemetry"
)

// A Letter is a dead letter: a batch, or a part of one, that a plugin could not deliver, and why. What it says of itself is
// the plugin's word.
type Letter struct {
	Seq    uint64 // its number, by which it is called
	Plugin string // that has set it aside
	At     time.Time

	Reason     string // a code: rejected, invalid, crash ...
	Error      string // what sink or decoder said
	Subject    string // where the batch was
	SourceID   string // the id it had; empty: none
	SourceSeq  uint64 // its place in the stream
	Stored     time.Time
	Deliveries int // how often it was given out

	ContentType     string
	ContentEncoding string
	Body            []byte

	// Again says that it was given again, and that its plugin went before it was settled.
	Again bool

	// Home is the host that keeps it, where its plugin can be given it again: what is here is a copy that the uplink of that host has
	// brought. Empty: it was set aside here.
	Home string

	// LeftOut is how many bytes of content it is without: with them it had been too large.
	LeftOut int

	header nats.Header
}

// Source returns whom the batch is about, and which plugin has made it; empty where the letter does not tell.
func (l Letter) Source() (host, plugin string) {
	s, err := ParseSubject(l.Subject)
	if err != nil {
		return "", ""
	}
	return s.Host, s.Plugin
}

// Points decodes the body.
func (l Letter) Points() (*telemetry.Batch, error) {
	b := &telemetry.Batch{}
	if err := b.Decode(l.ContentType, l.ContentEncoding, l.Body, l.At); err != nil {
		return b, fmt.Errorf("dead letter %d: %w", l.Seq, err)
	}
	return b, nil
}

// Retryable returns why the letter cannot be given again here; nil when it can. Errors: ErrNoContent, ErrElsewhere.
func (l Letter) Retryable() error {
	switch {
	case l.LeftOut > 0:
		return fmt.Errorf("%w: %d: its %d bytes were left out, as the bus does not take so much in one message: there is nothing to give again, "+
			"it can only be looked at and dropped", ErrNoContent, l.Seq, l.LeftOut)
	case len(l.Body) == 0:
		return fmt.Errorf("%w: %d: the batch was empty: there is nothing to give again, it can only be looked at and dropped", ErrNoContent, l.Seq)
	case l.Home != "" && l.Plugin != Uplink: // what an uplink has set aside can be stored here too, see SendLetter
		return fmt.Errorf("%w: %d is a copy: host %s keeps the letter, and its plugin %s can be given it again there", ErrElsewhere, l.Seq, l.Home, l.Plugin)
	}
	return nil
}

// Letters gives f the dead letters of a plugin, of all with an empty name, from a number on, the oldest first. Those that are
// being given again are none of them.
func (c *Conn) Letters(ctx context.Context, plugin string, from uint64, f func(Letter) error) error {
	name := Any
	if plugin != "" {
		name = Name(plugin)
	}
	filters := []string{Pattern(AreaDead, name), Pattern(AreaDead, Any, name), Pattern(AreaAgain, name)}
	stranded := c.stranded()
	return c.Tap(ctx, TapOptions{Stream: StreamDead, Filters: filters, From: max(1, from), Once: true}, func(t Tapped) error {
		l := letterOf(t.Subject, t.Seq, t.Stored, t.header, t.Body)
		if l.Again {
			if is, err := stranded.has(ctx, l); err != nil || !is {
				return err
			}
		}
		return f(l)
	})
}

// Letter returns the dead letter of a number. Errors: ErrNoLetter.
func (c *Conn) Letter(ctx context.Context, seq uint64) (Letter, error) {
	l, err := c.inDead(ctx, seq)
	if err == nil && l.Again {
		var is bool
		if is, err = c.stranded().has(ctx, l); err == nil && !is {
			err = fmt.Errorf("%w: %d is being given again", ErrNoLetter, seq)
		}
	}
	return l, err
}

// HasAgain reports whether there is a copy for plugin at a place in DEAD: see GiveAgain. Where there is none, who has named the
// place may have put it on another bus. Errors: ErrNoLetter.
func (c *Conn) HasAgain(ctx context.Context, plugin string, seq uint64) error {
	l, err := c.inDead(ctx, seq)
	switch {
	case err != nil:
	case !l.Again:
		err = fmt.Errorf("%w that is given again: %d", ErrNoLetter, seq)
	case l.Plugin != plugin:
		err = fmt.Errorf("%w: %d is one of %s", ErrNoLetter, seq, l.Plugin)
	}
	return err
}

// inDead returns the letter, or the copy of one, that lies at a place in DEAD.
func (c *Conn) inDead(ctx context.Context, seq uint64) (Letter, error) {
	stream, err := c.dead(ctx)
	if err != nil {
		return Letter{}, err
	}
	ctx, done := c.heed(ctx, "$JS.API.DIRECT.GET."+StreamDead)
	defer done()
	m, err := stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Letter{}, fmt.Errorf("%w: %d", ErrNoLetter, seq)
	}
	if err != nil {
		return Letter{}, fmt.Errorf("dead letter %d: %w", seq, translate(whyEnded(ctx, err)))
	}
	s, err := ParseSubject(m.Subject)
	if err != nil {
		return Letter{}, fmt.Errorf("%w: %d", ErrNoLetter, seq)
	}
	return letterOf(s, m.Sequence, m.Time, m.Header, m.Data), nil
}

func letterOf(s Subject, seq uint64, at time.Time, h nats.Header, body []byte) Letter {
	l := Letter{
		Seq: seq, Plugin: s.Plugin, At: at, Body: body, Again: s.Area == AreaAgain, header: h,
		Reason: h.Get(HeaderReason), Error: h.Get(HeaderError), Subject: h.Get(HeaderSubject), SourceID: h.Get(HeaderSourceID),
		ContentType: h.Get(headerType), ContentEncoding: h.Get(headerEncoding),
	}
	l.SourceSeq, _ = strconv.ParseUint(h.Get(HeaderStreamSeq), 10, 64)
	l.Deliveries, _ = strconv.Atoi(h.Get(HeaderDeliveries))
	l.LeftOut, _ = strconv.Atoi(h.Get(HeaderLeftOut))
	l.Home = cmp.Or(s.Host, homeOf(h.Get(headerID)))
	l.Stored, _ = time.Parse(time.RFC3339Nano, h.Get(HeaderStored)) // none of before: the zero time
	return l
}

// homeOf returns the host whose uplink has brought a letter of this id: it puts its host before the id that the letter had. Uplinks of
// older versions do not name it in the subject.
func homeOf(id string) string {
	token, had, _ := strings.Cut(id, "/")
	if !strings.HasPrefix(had, deadID) && !strings.HasPrefix(had, Token(Uplink)+"/"+StreamDead+"/") { // the second: it had none
		return ""
	}
	switch host, hashed, err := Untoken(token); {
	case err != nil:
		return ""
	case hashed:
		return token
	default:
		return host
	}
}

const againID = "again/" // ids of copies begin so

// copyOf returns the number of the letter that a copy of this id is made of.
func copyOf(id string) (seq uint64, err error) {
	text, _, _ := strings.Cut(strings.TrimPrefix(id, againID), "/")
	return strconv.ParseUint(text, 10, 64)
}

// GiveAgain puts a copy of l where its plugin is given it again once its agent says so, and returns the place of the copy in
// DEAD. The letter itself stays. The same call again within two minutes makes no second copy. Errors: those of Retryable.
func (c *Conn) GiveAgain(ctx context.Context, l Letter) (seq uint64, err error) {
	if err := l.Retryable(); err != nil {
		return 0, err
	}
	m := l.again()
	ack, err := c.publishAgain(ctx, m)
	if err == nil && ack.Duplicate {
		// Of an earlier call, or else somebody who may write any subject of DEAD has used up the id, and there is no copy.
		if err = c.HasAgain(ctx, l.Plugin, ack.Sequence); errors.Is(err, ErrNoLetter) {
			m.Header.Set(headerID, m.Header.Get(headerID)+"/"+rand.Text())
			ack, err = c.publishAgain(ctx, m)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("give dead letter %d again: %w", l.Seq, err)
	}
	return ack.Sequence, nil
}

// again returns the copy by which l is given again.
func (l Letter) again() *nats.Msg {
	m := nats.NewMsg(AgainSubject(l.Plugin))
	m.Data = l.Body
	for _, key := range []string{headerType, headerEncoding, HeaderReason, HeaderError, HeaderSubject, HeaderStreamSeq, HeaderDeliveries, HeaderSourceID, HeaderStored} {
		if v := l.header.Get(key); v != "" {
			m.Header.Set(key, v)
		}
	}
	if l.Stored.IsZero() { // a letter of an older version: points without a time are about as old as it is
		m.Header.Set(HeaderStored, l.At.UTC().Format(time.RFC3339Nano))
	}
	m.Header.Set(headerID, againID+strconv.FormatUint(l.Seq, 10))
	return m
}

func (c *Conn) publishAgain(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) {
	js, err := c.jetStream()
	if err != nil {
		return nil, err
	}
	ctx, done := c.heed(ctx, m.Subject)
	defer done()
	ack, err := js.PublishMsg(ctx, m)
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
		err = fmt.Errorf("%w that takes %s: %w", ErrNoStream, m.Subject, err) // DEAD of an older version, that nobody has updated yet
	}
	if err != nil {
		err = translate(whyEnded(ctx, err))
	}
	return ack, err
}

// RetryLetters gives letters again, all of one plugin: copies of some are stored, offer asks the agent of the plugin to give it those
// from one place in DEAD to another, and then the letters are removed; and so on with the others. Cut anywhere, none is lost; one may
// come twice, with the id it always had. given is how many of them are given again, the first ones. Errors: ErrFull when there is no
// room for a copy; ErrKept when all are given again, and stay.
func (c *Conn) RetryLetters(ctx context.Context, letters []Letter, offer func(ctx context.Context, from, to uint64) error) (given int, err error) {
	var kept error
	for given < len(letters) {
		some, err := c.portion(ctx, letters[given:])
		if err == nil {
			err = c.retryPortion(ctx, some, offer)
		}
		if errors.Is(err, ErrKept) {
			kept, err = err, nil
		}
		if err != nil {
			return given, err
		}
		given += len(some)
	}
	return given, kept
}

// What is copied at a time. A full DEAD drops its oldest: copies must not push letters out, be it those that they are made of.
const (
	portionLetters = 256
	portionBytes   = 1 << 20
	copyOverhead   = 512 // of a copy beside body and error: its other headers, and what the store adds
)

// portion returns the first of letters: so many as there is room for copies, but not too many.
func (c *Conn) portion(ctx context.Context, letters []Letter) ([]Letter, error) {
	stream, err := c.dead(ctx)
	if err != nil {
		return nil, err
	}
	room := int64(math.MaxInt64)
	if is := stream.CachedInfo(); is.Config.MaxBytes > 0 {
		room = is.Config.MaxBytes - int64(is.State.Bytes)
	}
	n, size := 0, int64(0)
	for ; n < min(len(letters), portionLetters); n++ {
		size += letters[n].copySize()
		if size > room || size > portionBytes && n > 0 {
			break
		}
	}
	if n == 0 {
		return nil, fmt.Errorf("%w: %s has room for %d bytes, and a copy of dead letter %d, by which it is given again, takes %d: drop letters that are of no use first",
			ErrFull, StreamDead, max(0, room), letters[0].Seq, size)
	}
	return letters[:n], nil
}

func (l Letter) copySize() int64 {
	return int64(len(l.Body) + len(l.Error) + len(l.Subject) + len(l.SourceID) + copyOverhead)
}

// retryPortion gives letters again at one go.
func (c *Conn) retryPortion(ctx context.Context, letters []Letter, offer func(ctx context.Context, from, to uint64) error) error {
	var from, to uint64
	given, copies := map[uint64]bool{}, map[uint64]bool{}
	for i, l := range letters {
		seq, err := c.GiveAgain(ctx, l)
		if err != nil {
			return err
		}
		if from = min(from, seq); i == 0 {
			from = seq
		}
		to = max(to, seq)
		given[l.Seq], copies[seq] = true, true
	}
	if err := offer(ctx, from, to); err != nil { // the copies stay: another retry may have offered the same ones meanwhile
		return err
	}
	for _, l := range letters {
		if err := c.removeDead(ctx, l.Seq); err != nil && !errors.Is(err, ErrNoLetter) {
			return err
		}
	}
	_ = c.tidy(ctx, letters[0].Plugin, given, copies) // all are given again; what it leaves goes with the next one, or when it is old
	return nil
}

// tidy removes the copies of some letters that nobody reads, but for those to keep: retries that came to nothing have left them, and
// without their letters they would be letters themselves.
func (c *Conn) tidy(ctx context.Context, plugin string, letters, keep map[uint64]bool) error {
	read, err := c.readsAgain(ctx, plugin)
	if err != nil {
		return err
	}
	return c.removeCopies(ctx, plugin, func(t Tapped) bool {
		of, err := copyOf(t.ID)
		return err == nil && letters[of] && !keep[t.Seq] && !read(t.Seq)
	})
}

// DropLetter removes the dead letter of a number for good, and what a retry that came to nothing has left of it. Errors: ErrNoLetter,
// ErrKept.
func (c *Conn) DropLetter(ctx context.Context, seq uint64) error {
	l, err := c.Letter(ctx, seq) // or it would be what waits to be given again
	if err != nil {
		return err
	}
	return errors.Join(c.tidy(ctx, l.Plugin, map[uint64]bool{seq: true}, nil), c.removeDead(ctx, seq))
}

// ForgetAgain removes the copies between two places in DEAD, both included, that a plugin has been given again. Those before them may
// be letters again, of which nobody has settled anything. Errors: ErrKept.
func (c *Conn) ForgetAgain(ctx context.Context, plugin string, from, upTo uint64) error {
	return c.removeCopies(ctx, plugin, func(t Tapped) bool { return from <= t.Seq && t.Seq <= upTo })
}

// removeCopies removes those copies for a plugin that fit, the last one first: what is left are then still the first ones.
func (c *Conn) removeCopies(ctx context.Context, plugin string, fits func(Tapped) bool) error {
	var copies []uint64
	o := TapOptions{Stream: StreamDead, Filters: []string{AgainSubject(plugin)}, From: 1, Once: true}
	err := c.Tap(ctx, o, func(t Tapped) error {
		if fits(t) {
			copies = append(copies, t.Seq)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, seq := range slices.Backward(copies) {
		if err := c.removeDead(ctx, seq); err != nil && !errors.Is(err, ErrNoLetter) {
			return err
		}
	}
	return nil
}

func (c *Conn) removeDead(ctx context.Context, seq uint64) error {
	stream, err := c.dead(ctx)
	if err != nil {
		return err
	}
	if stream.CachedInfo().Config.DenyDelete {
		return ErrKept
	}
	ctx, done := c.heed(ctx, "$JS.API.STREAM.MSG.DELETE."+StreamDead)
	defer done()
	err = stream.DeleteMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return fmt.Errorf("%w: %d: %w", ErrNoLetter, seq, err) // somebody else was first
	}
	if err != nil {
		return fmt.Errorf("drop dead letter %d: %w", seq, translate(whyEnded(ctx, err)))
	}
	return nil
}

func (c *Conn) dead(ctx context.Context) (jetstream.Stream, error) {
	js, err := c.jetStream()
	if err != nil {
		return nil, err
	}
	ctx, done := c.heed(ctx, "$JS.API.STREAM.INFO."+StreamDead)
	defer done()
	stream, err := js.Stream(ctx, StreamDead)
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", missing(whyEnded(ctx, err)))
	}
	return stream, nil
}

// makeStream makes or updates a stream. One that an older version has made without deletion stays so, as the server cannot
// undo it: see ErrKept.
func makeStream(ctx context.Context, js jetstream.JetStream, config jetstream.StreamConfig) error {
	_, err := js.CreateOrUpdateStream(ctx, config)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // somebody has made it between the two requests of which this consists
		_, err = js.UpdateStream(ctx, config)
	}
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == errStreamConfig && !config.DenyDelete {
		config.DenyDelete = true
		_, err = js.CreateOrUpdateStream(ctx, config)
	}
	return err
}

// errStreamConfig is the class of all faults of a config.
const errStreamConfig jetstream.ErrorCode = 10052
