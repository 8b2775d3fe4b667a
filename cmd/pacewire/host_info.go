package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

func (a *app) hostInfo() *cobra.Command {
	var facts string
	c := &cobra.Command{
		Use: "info HOST", Short: "Tell all that is known of a host, its plugins and its inventory", Args: cobra.ExactArgs(1),
		Example:           "  pacewire host info web1\n  pacewire host info web1 --facts os/info",
		ValidArgsFunction: a.completeOneHost,
		RunE: func(c *cobra.Command, args []string) error {
			if plugin, kind, ok := strings.Cut(facts, "/"); c.Flags().Changed("facts") && (!ok || plugin == "" || kind == "") {
				return exitWith(exitUsage, fmt.Errorf("--facts %q: want PLUGIN/TYPE, such as os/info", facts))
			}
			return a.withFleet(c.Context(), func(f fleet) error {
				if facts != "" {
					return a.showFacts(c.Context(), f, args[0], facts)
				}
				h, err := whole(c.Context(), f, args[0])
				if err != nil {
					return err
				}
				return a.showHost(h)
			})
		},
	}
	c.Flags().StringVar(&facts, "facts", "", "the facts of one entry of the inventory, as PLUGIN/TYPE")
	return c
}

// A wholeHost is all that the hub knows of a host.
type wholeHost struct {
	telemetry.HostStatus
	plugins   []telemetry.PluginStatus
	inventory []telemetry.RefreshItem
}

func whole(ctx context.Context, f fleet, name string) (h wholeHost, err error) {
	if h.HostStatus, err = f.host(ctx, name); err != nil {
		return h, err
	}
	if isRival(h.Host) { // nothing of it is kept
		return h, nil
	}
	if h.plugins, err = f.plugins(ctx, h.Host); err != nil {
		return h, err
	}
	h.inventory, err = f.inventory(ctx, h.Host)
	return h, err
}

// showFacts prints an entry as it is, or for people in lines.
func (a *app) showFacts(ctx context.Context, f fleet, host, entry string) error {
	text, err := f.facts(ctx, host, entry)
	if err != nil {
		return err
	}
	if a.flags.output != "json" {
		var lines bytes.Buffer
		if err := json.Indent(&lines, text, "", "  "); err != nil {
			return fmt.Errorf("%s of %s: %w", entry, host, err)
		}
		text = lines.Bytes()
	}
	text = append(bytes.TrimRight(text, "\n"), '\n')
	if isTerminal(a.out) {
		text = harmless(text)
	}
	_, err = a.out.Write(text)
	return err
}

// hostDetails is a host as info -o json shows it: the stable keys of list first.
type hostDetails struct {
	hostRow

	Boot      string             `json:"boot"`
	Inst      string             `json:"inst"`
	Gen       uint64             `json:"gen"`
	HostUpMS  int64              `json:"host_up_ms"`
	Received  uint64             `json:"received"`
	Lost      uint64             `json:"lost"`
	AckLost   uint64             `json:"ack_lost"`
	Late      uint64             `json:"late"`
	Duplicate uint64             `json:"duplicate"`
	Saved     uint64             `json:"probe_saved"`
	ConfigRev uint64             `json:"cfg_rev"`
	Load      map[string]float64 `json:"load,omitzero"`
	Items     uint64             `json:"inv_n"`
	Held      uint64             `json:"inv_held"`
	Aliases   []string           `json:"aliases"`
	Incident  string             `json:"incident"`
	Plugins   []running          `json:"plugins"`
	Inventory []inventoryRow     `json:"inventory"`
}

type inventoryRow struct {
	Plugin  string           `json:"plugin"`
	Type    string           `json:"type"`
	Version string           `json:"version"`
	Digest  telemetry.Digest `json:"digest"`
	Size    int64            `json:"size"`
	AgeMS   int64            `json:"age_ms"`
	Error   *telemetry.Fault `json:"error,omitzero"`
}

func asHostDetails(h wholeHost) hostDetails {
	d := hostDetails{
		hostRow: asHostRow(h.HostStatus), Boot: h.Boot, Inst: h.Inst, Gen: h.Gen, HostUpMS: h.HostUpMS, Received: h.Received, Lost: h.Lost, AckLost: h.AckLost,
		Late: h.Late, Duplicate: h.Duplicate, Saved: h.Saved, ConfigRev: h.ConfigRev, Load: h.Load, Items: h.Items, Held: h.Held,
		Aliases: append([]string{}, h.Aliases...), Incident: h.Incident, Plugins: []running{}, Inventory: []inventoryRow{},
	}
	for _, p := range h.plugins {
		d.Plugins = append(d.Plugins, asRunning(p))
	}
	for _, it := range h.inventory {
		d.Inventory = append(d.Inventory, inventoryRow{it.Plugin, it.Type, it.Version, it.Digest, it.Size, it.AgeMS, it.Error})
	}
	return d
}

func (a *app) showHost(h wholeHost) error {
	if a.flags.output == "json" {
		return json.NewEncoder(a.out).Encode(asHostDetails(h))
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	hostFacts(h.HostStatus, func(key, text string) {
		if text != "" {
			fmt.Fprintf(w, "%s\t%s\n", key, printable(text))
		}
	})
	if err := w.Flush(); err != nil {
		return err
	}
	if isRival(h.Host) {
		_, err := fmt.Fprintf(a.out, "\nIt is no host by itself: %s.\n", conflictWay)
		return err
	}
	if err := a.showHostPlugins(h.plugins); err != nil {
		return err
	}
	return a.showInventory(h.inventory)
}

// hostFacts tells what there is to tell of a host; what is empty is left out.
func hostFacts(h telemetry.HostStatus, row func(key, text string)) {
	row("host", h.Host)
	row("name", h.Name)
	row("earlier names", strings.Join(h.Aliases, ", "))
	state := h.State + " for " + since(h.Since)
	if h.Reason != "" {
		state += ": " + h.Reason
	}
	if h.State == telemetry.HostUp && !h.Stable {
		state += ", not stable yet"
	}
	row("state", state)
	row("flags", strings.Join(h.Flags, ", "))
	if h.Until > 0 {
		row("no alarm until", time.Unix(0, h.Until).Format("2006-01-02 15:04:05"))
	}
	row("incident", h.Incident)
	row("owner", h.Owner)
	row("site", h.Site)
	row("labels", pairs(h.Labels))
	row("agent", strings.TrimSpace(h.Version+" "+strings.Trim(h.OS+"/"+h.Arch, "/")))
	row("heartbeat", beatsOf(h))
	row("round trip", strings.TrimPrefix(roundTrip(h.RTTUS), "-"))
	if h.OffsetUS != 0 {
		row("clock", fmt.Sprintf("%v against the hub's", time.Duration(h.OffsetUS)*time.Microsecond))
	}
	if h.HostUpMS > 0 {
		row("up for", age(time.Now().Add(-time.Duration(h.HostUpMS)*time.Millisecond)))
	}
	if h.Inst != "" {
		text := fmt.Sprintf("instance %s, start %d", h.Inst, h.Gen)
		if h.Boot != "" {
			text += ", boot " + h.Boot
		}
		row("process", text)
	}
	row("config", fmt.Sprintf("revision %x", h.ConfigRev))
	if c := h.Plugins; c != nil {
		row("plugins", fmt.Sprintf("%d ok, %d fail, %d late", c.OK, c.Fail, c.Late))
	}
	row("load", loadText(h.Load))
	row("inventory", fmt.Sprintf("%d of %d entries are here", h.Held, h.Items))
}

// beatsOf writes what the hub counts of a host's heartbeats.
func beatsOf(h telemetry.HostStatus) string {
	if h.Beat == 0 && h.AgeMS == 0 {
		return "none since the hub started"
	}
	text := fmt.Sprintf("%s ago, each %v; %d came, %d lost, %d of the answers lost", beatAge(h), time.Duration(h.IntervalMS)*time.Millisecond, h.Received, h.Lost, h.AckLost)
	if h.Late+h.Duplicate > 0 {
		text += fmt.Sprintf(", %d late, %d twice", h.Late, h.Duplicate)
	}
	if h.Saved > 0 {
		text += ", " + amount.Of(h.Saved, "time", "times") + " silent but alive"
	}
	return text
}

func pairs(m map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, key+"="+m[key])
	}
	return strings.Join(parts, ", ")
}

// loadText writes the load of a machine, what it is for, and the memory of the agent; what it does not know, by its key.
func loadText(m map[string]float64) string {
	rest := maps.Clone(m)
	take := func(key string) (v float64, ok bool) {
		v, ok = rest[key]
		delete(rest, key)
		return v, ok
	}
	var parts []string
	for _, key := range []string{"load1", "load5", "load15"} {
		if v, ok := take(key); ok {
			parts = append(parts, fmt.Sprintf("%.2f", v))
		}
	}
	text := strings.Join(parts, " ")
	if cpus, ok := take("cpus"); ok && text != "" {
		text += fmt.Sprintf(" on %.0f CPUs", cpus)
	}
	parts = nil
	if text != "" {
		parts = append(parts, text)
	}
	if rss, ok := take("rss"); ok {
		parts = append(parts, "agent "+bytesText(uint64(max(rss, 0))))
	}
	if n, ok := take("queue"); ok && n > 0 {
		parts = append(parts, fmt.Sprintf("%.0f messages wait to be stored", n))
	}
	for _, key := range slices.Sorted(maps.Keys(rest)) {
		parts = append(parts, fmt.Sprintf("%s %.4g", key, rest[key]))
	}
	return strings.Join(parts, ", ")
}

func (a *app) showHostPlugins(list []telemetry.PluginStatus) error {
	if len(list) == 0 {
		return nil
	}
	fmt.Fprintln(a.out)
	return a.table("PLUGIN\tKIND\tPROGRAM\tSTATE\tFOR\tRESTARTS\tREASON", func(w io.Writer) {
		for _, p := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", printable(p.Name), word(p.Kind), word(p.Program), word(p.State), since(p.Since), p.Restarts, printable(p.Reason))
		}
	})
}

func (a *app) showInventory(items []telemetry.RefreshItem) error {
	if len(items) == 0 {
		return nil
	}
	fmt.Fprintln(a.out)
	return a.table("ENTRY\tVERSION\tSIZE\tAGE\tERROR", func(w io.Writer) {
		for _, it := range items {
			failed := ""
			if it.Error != nil {
				failed = printable(faultText(it.Error))
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(it.Plugin+"/"+it.Type), word(it.Version), bytesText(uint64(max(it.Size, 0))),
				age(time.Now().Add(-time.Duration(it.AgeMS)*time.Millisecond)), failed)
		}
	})
}

// faultText says why facts are not there. What a host has no means for is not wrong.
func faultText(f *telemetry.Fault) string {
	if f.Code == telemetry.FaultDependency {
		return "not readable here: " + f.Message
	}
	return f.Code + ": " + f.Message
}

// bytesText writes an amount of bytes in the unit that suits it.
func bytesText(n uint64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
