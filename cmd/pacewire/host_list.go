package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/telemetry"
)

func (a *app) hostList() *cobra.Command {
	var choice hostChoice
	c := &cobra.Command{
		Use: "list", Short: "List the hosts, those that are DOWN first", Args: cobra.NoArgs,
		Example: "  pacewire host list\n  pacewire host list --state down --owner ops --label rack=a7",
		RunE: func(c *cobra.Command, _ []string) error {
			args, err := choice.args()
			if err != nil {
				return err
			}
			return a.withFleet(c.Context(), func(f fleet) error {
				list, err := f.hosts(c.Context(), args)
				if err != nil {
					return err
				}
				return a.showHosts(list)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&choice.state, "state", "", "only those in this state: down, overdue, unknown, up or left")
	f.StringVar(&choice.owner, "owner", "", "only those of this owner")
	f.StringVar(&choice.site, "site", "", "only those of this site")
	f.StringArrayVar(&choice.labels, "label", nil, "only those with this label, as key=value; several: with all of them")
	suggest(c, "state", hostStates...)
	return c
}

// A hostChoice selects hosts; its zero value all.
type hostChoice struct {
	state, owner, site string
	labels             []string
}

// args returns it as arguments of a request.
func (h hostChoice) args() (map[string]any, error) {
	args := map[string]any{}
	for key, v := range map[string]string{"owner": h.owner, "site": h.site} {
		if v != "" {
			args[key] = v
		}
	}
	if h.state != "" {
		state, err := hostState(h.state)
		if err != nil {
			return nil, err
		}
		args["state"] = state
	}
	var labels []any
	for _, l := range h.labels {
		if key, _, ok := strings.Cut(l, "="); !ok || key == "" {
			return nil, exitWith(exitUsage, fmt.Errorf("--label %q: want key=value", l))
		}
		labels = append(labels, l)
	}
	if labels != nil {
		args["label"] = labels
	}
	return args, nil
}

// hostState reads a state as people write it.
func hostState(word string) (string, error) {
	state := strings.ToUpper(word)
	if slices.Contains(hostStates, state) {
		return state, nil
	}
	hint := "want " + strings.Join(hostStates[:len(hostStates)-1], ", ") + " or " + hostStates[len(hostStates)-1]
	if near := config.Suggest(state, hostStates); near != "" {
		hint = "did you mean " + near + "?"
	}
	return "", exitWith(exitUsage, fmt.Errorf("--state %q: %s", word, hint))
}

// hostRow is a host as -o json shows it; its keys are stable.
type hostRow struct {
	Host       string                  `json:"host"`
	Name       string                  `json:"name"`
	State      string                  `json:"state"`
	Reason     string                  `json:"reason"`
	Since      time.Time               `json:"since"`
	Stable     bool                    `json:"stable"`
	Flags      []string                `json:"flags"`
	Owner      string                  `json:"owner"`
	Site       string                  `json:"site"`
	Labels     map[string]string       `json:"labels"`
	Version    string                  `json:"version"`
	OS         string                  `json:"os"`
	Arch       string                  `json:"arch"`
	Beat       time.Time               `json:"beat,omitzero"`
	AgeMS      int64                   `json:"age_ms"`
	IntervalMS int64                   `json:"int_ms"`
	RTTUS      int64                   `json:"rtt_us"`
	OffsetUS   int64                   `json:"off_us"`
	Until      time.Time               `json:"until,omitzero"`
	Counts     *telemetry.PluginCounts `json:"np,omitzero"`
}

func asHostRow(h telemetry.HostStatus) hostRow {
	r := hostRow{
		Host: h.Host, Name: h.Name, State: h.State, Reason: h.Reason, Since: timeOf(h.Since), Stable: h.Stable,
		Flags: append([]string{}, h.Flags...), Owner: h.Owner, Site: h.Site, Labels: h.Labels, Version: h.Version, OS: h.OS, Arch: h.Arch,
		Beat: timeOf(h.Beat), AgeMS: h.AgeMS, IntervalMS: h.IntervalMS, RTTUS: h.RTTUS, OffsetUS: h.OffsetUS, Until: timeOf(h.Until), Counts: h.Plugins,
	}
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	return r
}

func (a *app) showHosts(list []telemetry.HostStatus) error {
	byState(list)
	if a.flags.output == "json" {
		rows := []hostRow{}
		for _, h := range list {
			rows = append(rows, asHostRow(h))
		}
		return json.NewEncoder(a.out).Encode(rows)
	}
	if len(list) > 0 {
		if err := a.table("HOST\tNAME\tSTATE\tREASON\tSINCE\tBEAT\tPLUGINS\tRTT\tVERSION\tFLAGS", func(w io.Writer) {
			for _, h := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(h.Host), word(h.Name), word(h.State), word(cutWords(h.Reason, longReason)), since(h.Since), beatAge(h),
					pluginCounts(h), roundTrip(h.RTTUS), word(h.Version), word(strings.Join(h.Flags, ",")))
			}
		}); err != nil {
			return err
		}
	}
	counts := countStates(list)
	text, rivals := stateCounts(counts), uint64(len(list))
	for _, n := range counts {
		rivals -= n
	}
	if rivals > 0 {
		text += fmt.Sprintf("; %d more under the id of another", rivals)
	}
	_, err := fmt.Fprintln(a.out, text)
	return err
}

// isRival reports whether a name is that of a second agent under the id of a host, which is no host by itself.
func isRival(host string) bool { return strings.Contains(host, "~") }

// countStates counts hosts by their states, as the hub does.
func countStates(list []telemetry.HostStatus) map[string]uint64 {
	counts := map[string]uint64{}
	for _, h := range list {
		if !isRival(h.Host) {
			counts[h.State]++
		}
	}
	return counts
}

// stateCounts sums up states as "12 UP, 1 OVERDUE, 1 DOWN".
func stateCounts(of map[string]uint64) string {
	var parts []string
	for _, state := range []string{telemetry.HostUp, telemetry.HostOverdue, telemetry.HostDown, telemetry.HostUnknown, telemetry.HostLeft} {
		if of[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", of[state], state))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "no hosts")
}

// word returns a text for a column, which is never empty.
func word(text string) string { return cmp.Or(printable(text), "-") }

// since returns how long ago a moment was, in ns.
func since(ns int64) string {
	if ns == 0 {
		return "-"
	}
	return age(time.Unix(0, ns))
}

// beatAge returns how long ago the hub has heard of a host: by its own clock, not ours.
func beatAge(h telemetry.HostStatus) string {
	if h.Beat == 0 && h.AgeMS == 0 {
		return "-"
	}
	return age(time.Now().Add(-time.Duration(h.AgeMS) * time.Millisecond))
}

// longReason is how much of a reason a table has room for: host info has all of it.
const longReason = 40

// cutWords cuts a text behind a word.
func cutWords(text string, most int) string {
	if len(text) <= most {
		return text
	}
	if i := strings.LastIndexByte(text[:most], ' '); i > 0 {
		most = i
	}
	return strings.TrimRight(strings.ToValidUTF8(text[:most], ""), " :,;") + "..."
}

// pluginCounts writes how many plugins are well, fail, and are late. Of those of a host that is not UP nothing is known.
func pluginCounts(h telemetry.HostStatus) string {
	c := h.Plugins
	if c == nil || h.State != telemetry.HostUp {
		return "-"
	}
	return fmt.Sprintf("%d/%d/%d", c.OK, c.Fail, c.Late)
}

func roundTrip(us int64) string {
	switch {
	case us == 0:
		return "-"
	case us < 1000:
		return fmt.Sprintf("%dus", us)
	}
	return fmt.Sprintf("%.1fms", float64(us)/1000)
}
