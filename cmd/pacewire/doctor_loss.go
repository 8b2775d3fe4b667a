package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// longAgo is how old a loss is that is only remarked on.
const longAgo = time.Hour

// letters looks which plugins have dead letters on the bus, whichever process has set them aside.
func (d *doctor) letters(ctx context.Context, conn *bus.Conn) {
	counts, err := conn.LetterCounts(ctx)
	if err != nil {
		return // that there is no stream, or that it cannot be read, is told elsewhere
	}
	for _, p := range d.plugins {
		if n := counts[p.Name]; n > 0 {
			d.findAt(p.Name, "pacewire dead list --plugin "+p.Name, "%s: mend that, then dead retry or dead drop",
				amount.Of(n, "batch is set aside, as it or its sink has refused it", "batches are set aside, as it or its sink has refused them"))
		}
	}
	if n := counts[bus.Uplink]; n > 0 {
		d.find("uplink", "pacewire dead list --plugin '"+bus.Uplink+"'", "%s here",
			amount.Of(n, "message was refused by the bus of the fleet, and is a dead letter", "messages were refused by the bus of the fleet, and are dead letters"))
	}
}

// bounds says what a plugin has dropped or refused at its bounds, and when. What is long over is a remark.
func (d *doctor) bounds(p telemetry.PluginStatus, c telemetry.Stats) {
	info := "pacewire plugin info " + p.Name
	for _, old := range []bool{false, true} {
		now := func(reason string) bool { return longOver(p.Losses[reason]) == old }
		if lost := lostAtBounds(c.Dropped, p.Losses, now); lost != "" {
			d.lost(p.Name, info, old, "since its start it has lost at its bounds: "+lost)
		}
		refused := ofReasons(c.Refused, now)
		if len(refused) > 0 {
			d.lost(p.Name, info, old, "since its start it has refused points at its bounds, which their senders keep: "+counts(refused)+lastOf(refused, p.Losses))
		}
	}
}

// longOver reports whether a loss is only remarked on; 0: nobody knows when it was.
func longOver(at uint64) bool { return at > 0 && time.Since(time.Unix(0, int64(at))) > longAgo }

// lost finds a loss, or remarks on an old one.
func (d *doctor) lost(plugin, fix string, old bool, text string) {
	if old {
		d.noteAt(plugin, "%s", text)
		return
	}
	d.findAt(plugin, fix, "%s", text)
}

func ofReasons(counts map[string]uint64, is func(reason string) bool) map[string]uint64 {
	some := maps.Clone(counts)
	maps.DeleteFunc(some, func(reason string, _ uint64) bool { return !is(reason) })
	return some
}

// lastOf says when the last of some losses was, "" when nobody knows.
func lastOf(some map[string]uint64, losses map[string]uint64) string {
	var at uint64
	for reason := range some {
		at = max(at, losses[reason])
	}
	return lastAt(int64(at))
}

func lastAt(at int64) string {
	if at == 0 {
		return ""
	}
	return ", last " + age(time.Unix(0, at)) + " ago"
}

// lostAtBounds writes what was dropped because a bound was reached, as "overflow 6 points, last 3m ago", of the reasons that are meant;
// "" for nothing.
func lostAtBounds(dropped map[string]uint64, losses map[string]uint64, is func(reason string) bool) string {
	var parts []string
	add := func(reason, text, one, several string) {
		if n := dropped[reason]; n > 0 && is(reason) {
			parts = append(parts, text+" "+amount.Of(n, one, several)+lastAt(int64(losses[reason])))
		}
	}
	for _, reason := range []string{telemetry.FlagOverflow, telemetry.FlagFlood, telemetry.FlagSeries, "not_sent"} {
		add(reason, reason, "point", "points")
	}
	add("lost_unread_batches", telemetry.FlagUnread, "batch", "batches")
	add("lost_unread_batches_at_most", telemetry.FlagUnread+" at most", "batch", "batches")
	return strings.Join(parts, ", ")
}

// laggard returns the reader of a stream that is so far behind that the limits may take what it has not read; "" when none is, and
// whether that could be asked.
func laggard(ctx context.Context, conn *bus.Conn, stream string, s bus.StreamState) (name string, known bool) {
	states, err := conn.ConsumerStates(ctx, stream)
	if err != nil {
		return "", false
	}
	worst := 0.0
	for _, token := range slices.Sorted(maps.Keys(states)) {
		c := states[token]
		if c.Quiet() {
			continue
		}
		if _, share := s.After(c.AckFloor, time.Now()); bus.Lags(share, false) && share > worst {
			who, _, _ := bus.Untoken(token)
			worst, name = share, cmp.Or(who, token)
		}
	}
	return name, true
}

// short says of a full stream that it does not go back far: a finding where a reader is behind, a remark where none is.
func (d *doctor) short(ctx context.Context, conn *bus.Conn, fix, stream string, s bus.StreamState) {
	text := fmt.Sprintf("%s is nearly full (%s) and goes back %v only: ", stream, bytesText(s.Bytes), time.Since(s.FirstTime).Round(time.Second))
	who, known := laggard(ctx, conn, stream, s)
	switch {
	case who != "":
		d.find("bus", fix, "%swhat %s has not read by then is lost", text, who)
	case !known:
		d.find("bus", fix, "%swhat a reader has not read by then is lost", text)
	default:
		d.add(finding{Where: "bus", Problem: text + "no reader is behind by now", Fix: fix, Note: true})
	}
}
