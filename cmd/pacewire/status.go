package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

func (a *app) status() *cobra.Command {
	var limit time.Duration
	c := &cobra.Command{
		Use: "status", Short: "Tell on one screen whether bus, agent and hub are well", Args: cobra.NoArgs,
		Long: "status ends with 0 when all is well, 1 when something is not, 69 when the bus cannot be reached. With --wait it asks until\n" +
			"all is well, and ends with 75 when it is not in time. A host that is DOWN is told, and is no fault of these.",
		Example: "  pacewire status\n  pacewire status --wait 30s -o json",
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < 0 {
				return exitWith(exitUsage, fmt.Errorf("--wait %v: want 0 or more, such as 30s", limit))
			}
			s, err := a.standing(c.Context(), limit)
			return errors.Join(a.showStanding(s), err)
		},
	}
	spanFlag(c.Flags(), &limit, "wait", "", 0, "until all is well, at most so long")
	return c
}

// A standing is how the parts of the program are, as -o json shows it; its keys are stable.
type standing struct {
	Well  bool           `json:"well"`
	Wrong []string       `json:"wrong"` // what is not well
	Bus   busStanding    `json:"bus"`
	Agent *agentStanding `json:"agent,omitzero"` // nil: none answers
	Hub   *hubStanding   `json:"hub,omitzero"`

	Uplink *telemetry.UplinkStatus `json:"uplink,omitzero"` // of an agent with a spool

	here string // this machine
}

type busStanding struct {
	Reachable bool             `json:"reachable"`
	URL       string           `json:"url"`
	Version   string           `json:"version"`
	RTTUS     int64            `json:"rtt_us"`
	Streams   []streamStanding `json:"streams"`
}

type streamStanding struct {
	Name     string `json:"name"`
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	MaxBytes int64  `json:"max_bytes"`

	Replicas int      `json:"replicas"`        // servers that keep it
	Leader   string   `json:"leader,omitzero"` // of a cluster
	Away     []string `json:"away,omitzero"`   // of these servers
	Behind   []string `json:"behind,omitzero"` // of these servers: there, and without some of it
}

func standingOf(name string, s bus.StreamState) streamStanding {
	behind := slices.DeleteFunc(slices.Clone(s.Behind), func(server string) bool { return slices.Contains(s.Away, server) })
	return streamStanding{name, s.Messages, s.Bytes, s.MaxBytes, s.Replicas, s.Leader, s.Away, behind}
}

type agentStanding struct {
	Host    string `json:"host"`
	OK      int    `json:"ok"`
	Fail    int    `json:"fail"`
	Late    int    `json:"late"`
	Changes int    `json:"changing"` // starting, draining
	Stopped int    `json:"stopped"`  // by an operator, or not started yet by who is to start it

	Says []string `json:"says,omitzero"` // of plugins that run: why not all that they do works, such as a program that ends again and again
}

type hubStanding struct {
	ID      string            `json:"id"`
	Version string            `json:"version"`
	Speaker string            `json:"speaker"`
	Term    uint64            `json:"term"`
	Ready   bool              `json:"ready"`
	Waits   []string          `json:"waits"`
	Hosts   map[string]uint64 `json:"hosts"`
	API     string            `json:"api"`
}

// standing asks how all is; with a limit until it is well.
func (a *app) standing(ctx context.Context, limit time.Duration) (standing, error) {
	last, err := a.lookAround(ctx)
	if limit == 0 || err == nil {
		return last, err
	}
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t := time.NewTicker(waitPoll)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-waiting.Done():
			if ctx.Err() != nil {
				return last, err
			}
			return last, exitWith(exitTryAgain, fmt.Errorf("after %v: %w", limit, err))
		}
		s, wrong := a.lookAround(waiting)
		if waiting.Err() == nil || wrong == nil { // what was cut short says nothing new
			last, err = s, wrong
		}
		if err == nil {
			return last, nil
		}
	}
}

// lookAround asks once. The error says what is not well.
func (a *app) lookAround(ctx context.Context) (standing, error) {
	s, err := a.survey(ctx)
	s.Well = err == nil && len(s.Wrong) == 0
	s.Wrong = append([]string{}, s.Wrong...)
	if err == nil && !s.Well {
		err = exitWith(exitFailed, errors.New("not well: "+strings.Join(s.Wrong, "; ")))
	}
	return s, err
}

// survey asks bus, agent and hub. The error says that the bus cannot be reached.
func (a *app) survey(ctx context.Context) (s standing, err error) {
	s.Bus.URL, s.Bus.Streams = a.busURL(), []streamStanding{}
	wrong := func(format string, args ...any) { s.Wrong = append(s.Wrong, fmt.Sprintf(format, args...)) }
	l, err := a.link(ctx, "")
	if err != nil {
		wrong("the bus cannot be reached: %v", err)
		return s, err
	}
	defer l.close()
	s.here = l.host
	s.Bus.Reachable, s.Bus.Version = true, l.conn.ServerVersion()
	if rtt, err := l.conn.RTT(); err == nil {
		s.Bus.RTTUS = rtt.Microseconds()
	}
	s.Bus.Streams = askStreams(ctx, l.conn, wrong)
	s.Agent = a.askAgent(ctx, l, wrong)
	if s.Agent != nil {
		s.Uplink = askUplink(ctx, l, wrong)
	}
	if s.Uplink == nil || !s.Uplink.Cut { // else there is nobody to ask
		f, end := a.fleetBeside(ctx, l)
		defer end()
		s.Hub = askForHub(ctx, f, wrong)
	}
	return s, nil
}

// askStreams asks for the streams of a bus. That there are none is one fault.
func askStreams(ctx context.Context, conn *bus.Conn, wrong func(string, ...any)) []streamStanding {
	list, missing := []streamStanding{}, []string{}
	for _, name := range []string{bus.StreamMetrics, bus.StreamEvents, bus.StreamDead} {
		state, err := conn.StreamInfo(ctx, name)
		switch {
		case errors.Is(err, bus.ErrNoStream):
			missing = append(missing, name)
		case err != nil:
			wrong("%v", err)
		default:
			st := standingOf(name, state)
			if fault := st.fault(); fault != "" {
				wrong("%s", fault)
			}
			list = append(list, st)
		}
	}
	if len(missing) > 0 {
		wrong("%s", noStreams(missing))
	}
	return list
}

// noStreams says of a bus that streams are missing.
func noStreams(missing []string) string {
	return "the bus has no stream " + strings.Join(missing, ", ") + `: start "pacewire hub" or an agent, they make them`
}

// busURL returns where the bus is looked for.
func (a *app) busURL() string {
	if a.flags.bus != "" {
		return a.flags.bus
	}
	n, _ := readNote()
	return n.URL
}

// askAgent asks the agent of this machine. On a bus elsewhere there need not be one.
func (a *app) askAgent(ctx context.Context, l *link, wrong func(string, ...any)) *agentStanding {
	list, err := l.list(ctx)
	if err != nil {
		if _, none := readNote(); none == nil || !errors.Is(err, bus.ErrNoResponders) {
			wrong("%v", a.whySilent(l.host, err))
		}
		return nil
	}
	s := &agentStanding{Host: l.host}
	for _, p := range list {
		switch fate(p) {
		case fateOK:
			s.OK++
			switch {
			case len(p.Flags) > 0:
				wrong("plugin %s (%s): %s", p.Name, strings.Join(p.Flags, ", "), printable(p.Reason))
			case p.State == "running" && p.Reason != "":
				s.Says = append(s.Says, p.Name+": "+printable(p.Reason))
			}
		case fateFail:
			s.Fail++
			wrong("plugin %s is %s", p.Name, strings.TrimSuffix(p.State+": "+printable(p.Reason), ": "))
		case fateLate:
			s.Late++
			wrong("plugin %s is %s", p.Name, p.State)
		case fateChanging:
			s.Changes++
			wrong("plugin %s is %s", p.Name, p.State)
		case fateStopped:
			s.Stopped++
		}
	}
	return s
}

// whySilent says of an agent of this machine that runs, and that err says is not on the bus, that it is on its way there.
func (a *app) whySilent(host string, err error) error {
	n, none := readNote()
	if a.flags.bus != "" || none != nil || n.Host != host || n.gone() || !errors.Is(err, bus.ErrNoResponders) {
		return err
	}
	return fmt.Errorf("the agent of host %s runs here (process %d) and does not answer yet: it starts, or waits for what its log says", host, n.PID)
}

// How a plugin is, in a word.
const (
	fateOK       = "ok"
	fateFail     = "fail"
	fateLate     = "late"     // silent
	fateChanging = "changing" // on its way
	fateStopped  = "stopped"  // as somebody wants it
)

// fate sums up the state of a plugin.
func fate(p telemetry.PluginStatus) string {
	switch p.State {
	case "running", "idle":
		return fateOK
	case "failed", "refused", "backing_off", "lost":
		return fateFail
	case "late":
		return fateLate
	case "stopped", "awaited":
		return fateStopped
	}
	return fateChanging
}

func askForHub(ctx context.Context, f fleet, wrong func(string, ...any)) *hubStanding {
	h, err := askHub(ctx, f, "status", nil, telemetry.DecodeHubStatus)
	if err != nil {
		wrong("%v", err)
		return nil
	}
	if !h.Ready {
		wrong("%s", hubWaits(h))
	}
	s := &hubStanding{ID: h.ID, Version: h.Version, Speaker: h.Speaker, Term: h.Term, Ready: h.Ready, Waits: append([]string{}, h.Waits...), Hosts: h.States, API: apiURL(h.Listen)}
	if s.Hosts == nil {
		s.Hosts = map[string]uint64{}
	}
	return s
}

// blindWords says in words why a hub gives no verdicts.
var blindWords = strings.NewReplacer(
	"for now: disconnected", "for now: it was cut off from the bus",
	"for now: bus", "for now: it was cut off from the bus",
	"for now: stalled", "for now: it was stopped, or too busy to look",
	"for now: behind", "for now: heartbeats wait to be read",
	"for now: clock", "for now: its clock was set, or its machine slept",
)

// hubWaits says why a hub is not ready.
func hubWaits(h telemetry.HubStatus) string {
	text := "the hub is not ready: " + cmp.Or(blindWords.Replace(printable(strings.Join(h.Waits, "; "))), "it does not say why")
	if left := time.Until(time.Unix(0, h.WarmUp)); h.WarmUp > 0 && left > 0 {
		text += fmt.Sprintf(" (warm-up for another %v)", left.Round(time.Second))
	}
	return text
}

// apiURL returns where a browser finds the API of a hub.
func apiURL(listen string) string {
	if listen == "" {
		return ""
	}
	return "http://" + printable(listen)
}

func (a *app) showStanding(s standing) error {
	if a.flags.output == "json" {
		return json.NewEncoder(a.out).Encode(s)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	s.write(w)
	return w.Flush()
}

func (s standing) write(w io.Writer) {
	if !s.Bus.Reachable {
		fmt.Fprintf(w, "bus\tnot reachable\t%s\n", printable(s.Bus.URL))
		return
	}
	fmt.Fprintf(w, "bus\treachable\t%s, NATS %s, answers in %s\n", printable(s.Bus.URL), printable(s.Bus.Version), roundTrip(s.Bus.RTTUS))
	for _, st := range s.Bus.Streams {
		fmt.Fprintf(w, "\t%s\t%s\n", st.Name, st.text())
	}
	agent, of := "none answers", "of "+printable(s.here)+", this machine"
	if g := s.Agent; g != nil {
		agent, of = fmt.Sprintf("%d ok, %d fail, %d late", g.OK, g.Fail, g.Late), "plugins of "+printable(g.Host)
		if g.Changes > 0 {
			of += fmt.Sprintf(", %d more on their way", g.Changes)
		}
		if g.Stopped > 0 {
			of += fmt.Sprintf(", %d more stopped", g.Stopped)
		}
	}
	fmt.Fprintf(w, "agent\t%s\t%s\n", agent, of)
	if s.Agent != nil {
		for _, text := range s.Agent.Says {
			fmt.Fprintf(w, "\t\t%s\n", text)
		}
	}
	if u := s.Uplink; u != nil {
		state, waits := uplinkText(u)
		fmt.Fprintf(w, "uplink\t%s\n\t\t%s\n", state, waits)
	}
	h := s.Hub
	if h == nil {
		fmt.Fprintf(w, "hub\tnone answers\t\n")
		return
	}
	state := "ready"
	if !h.Ready {
		state = "not ready"
	}
	fmt.Fprintf(w, "hub\t%s\t%s speaks, term %d, version %s\n", state, printable(cmp.Or(h.Speaker, h.ID)), h.Term, word(h.Version))
	fmt.Fprintf(w, "\thosts\t%s\n", stateCounts(h.Hosts))
	fmt.Fprintf(w, "\tAPI\t%s\n", cmp.Or(h.API, "off"))
}

// fault says what is wrong with the servers that keep a stream, "" if nothing.
func (st streamStanding) fault() string {
	switch {
	case st.Replicas > 1 && st.Leader == "":
		return fmt.Sprintf("stream %s has no leader: nothing is stored until most of its %d servers are there", st.Name, st.Replicas)
	case len(st.Away) > 0:
		return fmt.Sprintf("stream %s: server %s is away: start it", st.Name, printable(strings.Join(st.Away, ", ")))
	}
	return ""
}

func (st streamStanding) text() string {
	text := amount.Of(st.Messages, "message", "messages") + ", " + bytesText(st.Bytes)
	if st.MaxBytes > 0 {
		text += " of " + bytesText(uint64(st.MaxBytes))
	}
	if st.Leader != "" {
		text += fmt.Sprintf(", on %d servers, %s leads", st.Replicas, printable(st.Leader))
	}
	if len(st.Away) > 0 {
		text += "; away: " + printable(strings.Join(st.Away, ", "))
	}
	if len(st.Behind) > 0 {
		text += "; behind: " + printable(strings.Join(st.Behind, ", "))
	}
	if st.Name == bus.StreamDead && st.Messages > 0 {
		text += " (batches that a reader could not take)"
	}
	return text
}
