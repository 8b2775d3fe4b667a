package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/bus"
)

func (a *app) dead() *cobra.Command {
	c := &cobra.Command{
		Use: "dead", Short: "Dead letters: batches that a plugin could not deliver",
		Long: "A batch that a sink refuses for good, or that kills its plugin, is set aside with the reason, and the others go on.\n" +
			"Once the reason is mended, retry gives it to its plugin again.",
		Example: "  pacewire dead list\n  pacewire dead retry --plugin influx",
	}
	c.AddCommand(a.deadList(), a.deadShow(), a.deadRetry(), a.deadDrop())
	return c
}

func (a *app) deadList() *cobra.Command {
	var w letterWish
	c := &cobra.Command{
		Use: "list", Short: "List dead letters with their reasons", Args: cobra.NoArgs,
		Long:    "list shows what has been set aside on the whole bus, the oldest first. Letters are kept for 30 days.",
		Example: "  pacewire dead list\n  pacewire dead list --plugin influx --since 1h -n 20",
		RunE: func(c *cobra.Command, _ []string) error {
			if w.last < 0 {
				return exitWith(exitUsage, fmt.Errorf("-n %d: want 0 or more letters", w.last))
			}
			if err := w.sound(); err != nil {
				return err
			}
			return a.withLetters(c.Context(), func(conn *bus.Conn) error {
				list, err := w.letters(c.Context(), conn)
				if err != nil {
					return err
				}
				return errors.Join(a.tellUnderWay(c.Context(), conn, w.plugin), a.showLetters(list))
			})
		},
	}
	w.flags(a, c)
	c.Flags().IntVarP(&w.last, "lines", "n", 0, "only the last so many")
	return c
}

func (a *app) deadShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID...", Short: "Show dead letters whole: where they are from, why they are here, their points", Args: cobra.MinimumNArgs(1),
		Long:    "show prints all that is known of a dead letter. What cannot be read as points is shown as text.",
		Example: "  pacewire dead show 17\n  pacewire dead show 17 18 -o json",
		RunE: func(c *cobra.Command, ids []string) error {
			return a.withLetters(c.Context(), func(conn *bus.Conn) error {
				list, err := lettersByID(c.Context(), conn, ids)
				for _, l := range list {
					err = errors.Join(err, a.showLetter(l))
				}
				return err
			})
		},
	}
}

// withLetters runs do with the bus where letters are.
func (a *app) withLetters(ctx context.Context, do func(*bus.Conn) error) error {
	conn, _, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return ofLetters(do(conn))
}

// ofLetters says what to do about an error that letters bring about.
func ofLetters(err error) error {
	switch {
	case errors.Is(err, bus.ErrNoStream):
		return exitWith(exitNoBus, fmt.Errorf(`this bus keeps no dead letters yet, or not as this version does (%w): start "pacewire up" or "pacewire hub" of this version`, err))
	case errors.Is(err, bus.ErrNoLetter):
		return exitWith(exitUsage, fmt.Errorf("%w: pacewire dead list shows those there are", err))
	case errors.Is(err, bus.ErrElsewhere):
		return exitWith(exitUsage, err)
	case errors.Is(err, bus.ErrDenied):
		return exitWith(exitConfig, fmt.Errorf("the bus does not let this user do it: name a file of credentials that may, by --creds (%w)", err))
	}
	return err
}

// A letterWish says which letters are meant.
type letterWish struct {
	plugin, reason string
	since          time.Duration
	last           int
}

func (w *letterWish) flags(a *app, c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&w.plugin, "plugin", "", "only of this plugin")
	f.StringVar(&w.reason, "reason", "", "only with this reason: rejected, crash, too_large ...")
	spanFlag(f, &w.since, "since", "", 0, "only those set aside since then")
	_ = c.RegisterFlagCompletionFunc("plugin", a.completePlugins)
}

// sound refuses a time that is still to come.
func (w *letterWish) sound() error {
	if w.since < 0 {
		return exitWith(exitUsage, fmt.Errorf("--since %v: want how long ago, such as 1h", w.since))
	}
	return nil
}

// letters returns those that are meant.
func (w *letterWish) letters(ctx context.Context, conn *bus.Conn) (list []bus.Letter, err error) {
	var begin time.Time
	if w.since != 0 {
		begin = time.Now().Add(-w.since)
	}
	err = conn.Letters(ctx, w.plugin, 0, func(l bus.Letter) error {
		if (w.reason == "" || w.reason == l.Reason) && !l.At.Before(begin) {
			list = append(list, l)
		}
		return nil
	})
	if err == nil && len(list) == 0 {
		err = w.known(ctx, conn)
	}
	if w.last > 0 {
		list = list[max(0, len(list)-w.last):]
	}
	return list, err
}

// lettersByID returns the letters that are called so. Those that are not there are an error, besides those that are.
func lettersByID(ctx context.Context, conn *bus.Conn, ids []string) (list []bus.Letter, err error) {
	for _, id := range ids {
		seq, fault := strconv.ParseUint(id, 10, 64)
		if fault != nil || seq == 0 {
			return nil, exitWith(exitUsage, fmt.Errorf("%q is no id of a dead letter: pacewire dead list shows them", id))
		}
		l, fault := conn.Letter(ctx, seq)
		if fault != nil {
			err = errors.Join(err, fault)
			continue
		}
		list = append(list, l)
	}
	return list, err
}

// letterRow is a dead letter as -o json shows it; its keys are stable.
type letterRow struct {
	ID         uint64    `json:"id"`
	At         time.Time `json:"at"`
	Plugin     string    `json:"plugin"`
	Reason     string    `json:"reason"`
	Error      string    `json:"error"`
	Host       string    `json:"host"` // whom the batch is about
	From       string    `json:"from"` // who has made it
	SourceID   string    `json:"source_id"`
	Deliveries int       `json:"deliveries"`
	Points     int       `json:"points"`
	Bytes      int       `json:"bytes"`
	State      string    `json:"state,omitzero"`    // "given again": its plugin went before it had settled it
	KeptAt     string    `json:"kept_at,omitzero"`  // the host that keeps it, and can give it to its plugin again: what is here is a copy
	LeftOut    int       `json:"left_out,omitzero"` // bytes of content that it is without, as they were too many for a letter

	Lines []string `json:"lines,omitzero"` // line protocol, of show
	Text  string   `json:"text,omitzero"`  // of what is no points
}

func rowOf(l bus.Letter) letterRow {
	row := letterRow{ID: l.Seq, At: l.At.UTC(), Plugin: l.Plugin, Reason: l.Reason, Error: l.Error, SourceID: l.SourceID, Deliveries: l.Deliveries, Bytes: len(l.Body),
		KeptAt: l.Home, LeftOut: l.LeftOut}
	row.Host, row.From = l.Source()
	if l.Again {
		row.State = "given again"
	}
	if b, err := l.Points(); err == nil {
		row.Points = b.Len()
	}
	return row
}

func (a *app) showLetters(list []bus.Letter) error {
	rows := make([]letterRow, len(list))
	for i, l := range list {
		rows[i] = rowOf(l)
	}
	if a.flags.output == "json" {
		return json.NewEncoder(a.out).Encode(rows)
	}
	for i, r := range rows {
		if r.State != "" {
			rows[i].Error = r.State + ", and nobody reads it: " + r.Error
		}
		if r.KeptAt != "" {
			rows[i].Error = "kept at " + r.KeptAt + ": " + r.Error
		}
	}
	if len(rows) == 0 {
		fmt.Fprintln(a.err, "no dead letters")
		return nil
	}
	return a.table("ID\tAGE\tPLUGIN\tREASON\tFROM\tPOINTS\tERROR", func(w io.Writer) {
		for _, r := range rows {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%d\t%s\n", r.ID, age(r.At), printable(r.Plugin), printable(r.Reason), printable(r.Host+"/"+r.From), r.Points, printable(r.Error))
		}
	})
}

func (a *app) showLetter(l bus.Letter) error {
	row := rowOf(l)
	b, err := l.Points()
	switch {
	case err == nil && b.Len() > 0:
		row.Lines = strings.Split(strings.TrimSuffix(string(b.AppendLines(nil)), "\n"), "\n")
	case utf8.Valid(l.Body):
		row.Text = string(l.Body)
	default:
		row.Text = strings.Trim(strconv.QuoteToASCII(string(l.Body[:min(len(l.Body), mostShown)])), `"`)
	}
	if a.flags.output == "json" {
		return json.NewEncoder(a.out).Encode(row)
	}
	facts := [][2]string{
		{"letter", strconv.FormatUint(row.ID, 10)}, {"set aside", row.At.Local().Format("2006-01-02 15:04:05") + " by " + row.Plugin},
		{"reason", row.Reason}, {"error", row.Error}, {"from", row.Host + "/" + row.From}, {"id", row.SourceID},
		{"given out", strconv.Itoa(row.Deliveries)}, {"points", strconv.Itoa(row.Points)}, {"size", bytesText(uint64(row.Bytes))},
	}
	if row.State != "" {
		facts = append(facts, [2]string{"state", row.State + ", and nobody reads it: retry does so once more"})
	}
	if row.KeptAt != "" {
		facts = append(facts, [2]string{"kept at", row.KeptAt + ": there pacewire dead retry gives it to its plugin again"})
	}
	if row.LeftOut > 0 {
		facts = append(facts, [2]string{"left out", bytesText(uint64(row.LeftOut)) + " of content, too large for a letter: it can only be dropped"})
	}
	for _, f := range facts {
		fmt.Fprintf(a.out, "%-10s %s\n", f[0], printable(f[1]))
	}
	for _, line := range row.Lines {
		fmt.Fprintln(a.out, "  "+printable(line))
	}
	if row.Text != "" {
		fmt.Fprintln(a.out, "  "+told(row.Text))
	}
	fmt.Fprintln(a.out)
	return nil
}

// mostShown is how much is shown of a body that is not even text.
const mostShown = 1 << 10
