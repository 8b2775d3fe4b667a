package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
)

func (a *app) deadRetry() *cobra.Command {
	var to aim
	var w chosenLetters
	c := &cobra.Command{
		Use: "retry (ID... | --plugin NAME | --all)", Short: "Give dead letters to their plugins again", Args: cobra.ArbitraryArgs,
		Long: "retry gives dead letters to the plugins that have set them aside, and to nobody else, beside what these read anyway. It ends\n" +
			"when all are settled. What is refused again is a new letter. Letters of ~uplink are stored on this bus again, where they were: the\n" +
			"uplink sends them on once more. What has no content any more, or is a copy of what another machine keeps, is left, and the others go on.",
		Example: "  pacewire dead retry 17 18\n  pacewire dead retry --plugin influx --reason rejected",
		RunE: func(c *cobra.Command, ids []string) error {
			if err := errors.Join(to.check(), w.check(ids)); err != nil {
				return err
			}
			l, err := a.link(c.Context(), to.host)
			if err != nil {
				return err
			}
			defer l.close()
			return a.retryLetters(c.Context(), l, to.timeout, w, ids)
		},
	}
	w.flags(a, c, "give again")
	to.flags(c)
	return c
}

func (a *app) deadDrop() *cobra.Command {
	var w chosenLetters
	c := &cobra.Command{
		Use: "drop (ID... | --plugin NAME | --all)", Short: "Remove dead letters for good", Args: cobra.ArbitraryArgs,
		Long:    "drop removes dead letters, and with them the points they hold.",
		Example: "  pacewire dead drop 17\n  pacewire dead drop --plugin influx --reason too_large",
		RunE: func(c *cobra.Command, ids []string) error {
			if err := w.check(ids); err != nil {
				return err
			}
			conn, _, err := a.connect(c.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			return a.dropLetters(c.Context(), conn, w, ids)
		},
	}
	w.flags(a, c, "drop")
	return c
}

// chosenLetters are those that something is done to: some by their ids, or all that fit.
type chosenLetters struct {
	letterWish
	all bool
}

func (w *chosenLetters) flags(a *app, c *cobra.Command, what string) {
	w.letterWish.flags(a, c)
	c.Flags().BoolVar(&w.all, "all", false, what+" those of all plugins")
}

func (w *chosenLetters) check(ids []string) error {
	chosen := w.plugin != "" || w.reason != "" || w.since != 0
	switch {
	case w.since < 0:
		return w.sound()
	case len(ids) > 0 && (w.all || chosen):
		return exitWith(exitUsage, errors.New("name letters by their ids, or by flags, not both"))
	case len(ids) == 0 && !w.all && w.plugin == "":
		return exitWith(exitUsage, errors.New("which letters? Name their ids, or --plugin NAME, or say --all"))
	}
	return nil
}

func (w *chosenLetters) letters(ctx context.Context, conn *bus.Conn, ids []string) ([]bus.Letter, error) {
	if len(ids) > 0 {
		return lettersByID(ctx, conn, ids)
	}
	return w.letterWish.letters(ctx, conn)
}

// lettersDone is what -o json shows of letters that something was done to; its keys are stable.
type lettersDone struct {
	Retried   []uint64 `json:"retried"`
	Delivered int      `json:"delivered"`        // of these, those that are settled and not refused again
	Waiting   int      `json:"waiting,omitzero"` // of these, those that were not settled yet when it ended
	Left      []uint64 `json:"left,omitempty"`   // that were to be given again, and were not
	Refused   []uint64 `json:"refused"`          // new letters of those that were refused again
	Dropped   []uint64 `json:"dropped"`
	Error     *failure `json:"error,omitzero"`
}

func (a *app) retryLetters(ctx context.Context, l *link, limit time.Duration, w chosenLetters, ids []string) error {
	list, err := w.letters(ctx, l.conn, ids)
	faults := []error{ofLetters(err)}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if len(list) == 0 && len(ids) == 0 {
		faults = append(faults, a.tellUnderWay(ctx, l.conn, w.plugin))
	}
	done := newLettersDone()
	groups, unfit := sortLetters(list)
	for _, u := range unfit {
		done.Left = append(done.Left, u.seqs...)
		faults = append(faults, exitWith(exitUsage, u))
	}
	for _, plugin := range slices.Sorted(maps.Keys(groups)) {
		faults = append(faults, ofLetters(a.retryOf(ctx, l, plugin, groups[plugin], &done)))
	}
	faults = append(faults, done.vain())
	if a.flags.output != "json" {
		fmt.Fprintln(a.out, done.text())
	}
	return a.finishLetters(done, faults)
}

// retryOf gives the letters of one plugin again, and waits until all are settled.
func (a *app) retryOf(ctx context.Context, l *link, plugin string, letters []bus.Letter, done *lettersDone) error {
	if plugin == bus.Uplink {
		return sendLetters(ctx, l.conn, letters, done)
	}
	if err := l.mayRetry(ctx, plugin); err != nil {
		done.Left = append(done.Left, seqsOf(letters)...)
		return err
	}
	defer a.progress(fmt.Sprintf("%s is given %s again", plugin, amount.Of(len(letters), "letter", "letters")))()
	var begin uint64 // of the copies: what is refused again lies behind
	given, err := l.conn.RetryLetters(ctx, letters, func(ctx context.Context, from, to uint64) error {
		begin = cmp.Or(begin, from)
		_, err := l.request(ctx, "again", map[string]any{"plugin": plugin, "from": from, "to": to})
		return err
	})
	done.Retried = append(done.Retried, seqsOf(letters[:given])...)
	switch {
	case errors.Is(err, bus.ErrKept):
		err = fmt.Errorf("%s was given its letters again, and they stay in the list: %w", plugin, bus.ErrKept)
	case err != nil:
		err = done.cut(letters[given:], err)
	}
	return errors.Join(err, settleLetters(ctx, l.conn, letters[:given], begin, done))
}

// settleLetters waits until the letters that a plugin was given again are settled, and notes what has become of them, or how far they
// are when nobody waits any longer. Copies of them lie from begin on.
func settleLetters(ctx context.Context, conn *bus.Conn, letters []bus.Letter, begin uint64, done *lettersDone) error {
	if len(letters) == 0 {
		return nil
	}
	errands := bus.Errands(letters[0].Plugin, nil)
	err := awaitErrand(ctx, conn, errands, func(bus.ConsumerState) {})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime) // a look is due, whatever has ended the wait
	defer cancel()
	waiting := 0
	if err != nil {
		waiting = min(len(letters), unsettled(ctx, conn, errands))
	}
	refused, unseen := refusedAgain(ctx, conn, letters, begin)
	done.Refused = append(done.Refused, refused...)
	done.Waiting += waiting
	done.Delivered += max(0, len(letters)-waiting-len(refused))
	return errors.Join(err, unseen)
}

// unsettled returns how much the consumers of errands have not settled yet; where that is not known, more than there can be.
func unsettled(ctx context.Context, conn *bus.Conn, errands []bus.Input) (n int) {
	for _, in := range errands {
		s, err := conn.ConsumerInfo(ctx, in.Stream, in.Durable)
		switch {
		case err == nil:
			n += int(s.Pending) + s.AckPending
		case !errors.Is(err, bus.ErrNoConsumer):
			return math.MaxInt
		}
	}
	return n
}

// sendLetters stores what an uplink has set aside once more, for it to send on: that is no plugin which could be given something again.
func sendLetters(ctx context.Context, conn *bus.Conn, letters []bus.Letter, done *lettersDone) error {
	var faults []error
	for i, one := range letters {
		err := conn.SendLetter(ctx, one)
		switch {
		case err == nil:
			done.Retried = append(done.Retried, one.Seq)
			done.Delivered++
		case errors.Is(err, bus.ErrRefused), errors.Is(err, bus.ErrNoLetter), errors.Is(err, bus.ErrElsewhere): // the others may go
			faults = append(faults, done.cut(letters[i:i+1], err))
		default: // it would be the same with the next
			return errors.Join(append(faults, done.cut(letters[i:], err))...)
		}
	}
	return errors.Join(faults...)
}

// mayRetry checks that the agent has a plugin of that name that reads.
func (l *link) mayRetry(ctx context.Context, plugin string) error {
	list, err := ask(ctx, l.conn, l.host, "info", map[string]any{"plugin": plugin})
	switch {
	case err != nil:
		return err
	case len(list) == 0 || list[0].Kind == config.Collector:
		return exitWith(exitUsage, fmt.Errorf("%s of host %s reads nothing: name the host of the plugin by --host", plugin, l.host))
	case list[0].State == "stopped":
		return exitWith(exitConfig, fmt.Errorf("%s is stopped: pacewire plugin start %s starts it", plugin, plugin))
	}
	return nil
}

// refusedAgain returns the letters that were made of letters which were given again, by copies that lie from begin on. Other parts of
// the same batches, which were not given again, lie before.
func refusedAgain(ctx context.Context, conn *bus.Conn, letters []bus.Letter, begin uint64) (refused []uint64, err error) {
	sources := map[string]bool{}
	for _, l := range letters {
		sources[l.SourceID] = l.SourceID != ""
	}
	err = conn.Letters(ctx, letters[0].Plugin, begin, func(l bus.Letter) error {
		if sources[l.SourceID] && !l.Again {
			refused = append(refused, l.Seq)
		}
		return nil
	})
	return refused, err
}

func (a *app) dropLetters(ctx context.Context, conn *bus.Conn, w chosenLetters, ids []string) error {
	list, err := w.letters(ctx, conn, ids)
	faults := []error{ofLetters(err)}
	done := newLettersDone()
	for _, l := range list {
		err := conn.DropLetter(ctx, l.Seq)
		if err == nil {
			done.Dropped = append(done.Dropped, l.Seq)
			continue
		}
		faults = append(faults, ofLetters(err))
		if !errors.Is(err, bus.ErrNoLetter) {
			break // it would be the same with the next
		}
	}
	if a.flags.output != "json" {
		fmt.Fprintf(a.out, "%s dropped\n", amount.Of(len(done.Dropped), "letter", "letters"))
	}
	return a.finishLetters(done, faults)
}

// cut notes letters that were not given again, and returns err with how to go on with them.
func (d *lettersDone) cut(left []bus.Letter, err error) error {
	seqs := seqsOf(left)
	d.Left = append(d.Left, seqs...)
	again := "--plugin '" + left[0].Plugin + "'"
	if len(seqs) <= mostNamed {
		again = seqsText(seqs)
	}
	return fmt.Errorf("%s not given again: %w: pacewire dead retry %s goes on", amount.Of(len(left), "letter", "letters"), err, again)
}

// text says what was given again, and what was not.
func (d *lettersDone) text() string {
	text := fmt.Sprintf("%s given again, %d delivered, %d refused again", amount.Of(len(d.Retried), "letter", "letters"), d.Delivered, len(d.Refused))
	if d.Waiting > 0 {
		text += fmt.Sprintf(", %d not settled yet", d.Waiting)
	}
	if len(d.Left) > 0 {
		text += fmt.Sprintf(", %d not given again", len(d.Left))
	}
	return text
}

// vain returns an error where nothing has come of a retry: every letter was refused again.
func (d *lettersDone) vain() error {
	if len(d.Refused) == 0 || d.Delivered > 0 || d.Waiting > 0 {
		return nil
	}
	return fmt.Errorf("every letter was refused again: pacewire dead show %s tells why", seqsText(d.Refused))
}

func newLettersDone() lettersDone {
	return lettersDone{Retried: []uint64{}, Refused: []uint64{}, Dropped: []uint64{}}
}

func (a *app) finishLetters(done lettersDone, faults []error) error {
	faults = slices.DeleteFunc(faults, func(err error) bool { return err == nil })
	if a.flags.output == "json" {
		done.Error = failureOf(faults)
		if err := json.NewEncoder(a.out).Encode(done); err != nil {
			return err
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return exitWith(codeOf(faults[0]), errors.Join(faults...))
}

// errandPoll is how often it is looked how far an errand is.
const errandPoll = 250 * time.Millisecond

// awaitErrand waits until the consumers of errands are gone: their agent takes them back when all is settled. see is told how far
// they are.
func awaitErrand(ctx context.Context, conn *bus.Conn, errands []bus.Input, see func(bus.ConsumerState)) error {
	t := time.NewTicker(errandPoll)
	defer t.Stop()
	for _, in := range errands {
		for {
			state, err := conn.ConsumerInfo(ctx, in.Stream, in.Durable)
			if errors.Is(err, bus.ErrNoConsumer) {
				break
			}
			if errors.Is(err, bus.ErrDenied) {
				return err
			}
			if err == nil {
				see(state)
			}
			select {
			case <-ctx.Done():
				return errandGoesOn(ctx)
			case <-t.C:
			}
		}
	}
	return nil
}

// errandGoesOn says why it was not waited for to its end.
func errandGoesOn(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return exitWith(exitTryAgain, errors.New("not all is settled in time: it goes on; --timeout sets how long to wait"))
	}
	return exitWith(exitFailed, fmt.Errorf("interrupted: it goes on (%w)", ctx.Err()))
}
