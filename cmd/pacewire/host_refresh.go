package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	jobPoll = 200 * time.Millisecond // how often the hub is asked how far a refresh is
	hubGone = 20 * time.Second       // a hub that is silent for so long has no successor: another one speaks after 15 s
)

func (a *app) hostRefresh() *cobra.Command {
	var all bool
	var mode string
	c := &cobra.Command{
		Use: "refresh (HOST... | --all)", Short: "Have hosts collect their inventory again, or send it again",
		Long: "refresh asks agents for their inventory: to collect all facts anew or, with --mode cached, to send again what they know.\n" +
			"The hub does it, 64 hosts at a time; it ends with those that did not answer.",
		Example:           "  pacewire host refresh web1 web2\n  pacewire host refresh --all --mode cached",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeHosts,
		RunE: func(c *cobra.Command, hosts []string) error {
			var job telemetry.RefreshJob
			err := refreshAim(hosts, all, mode)
			if err == nil {
				err = a.withFleet(c.Context(), func(f fleet) (err error) {
					job, err = a.refresh(c.Context(), f, hosts, mode)
					return err
				})
			}
			return a.finishRefresh(job, err)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "of all hosts")
	c.Flags().StringVar(&mode, "mode", telemetry.ModeCollect, "collect: facts anew; cached: what is known, once more")
	suggest(c, "mode", telemetry.ModeCollect, telemetry.ModeCached)
	return c
}

func refreshAim(hosts []string, all bool, mode string) error {
	switch {
	case all == (len(hosts) > 0):
		return exitWith(exitUsage, errors.New("of which hosts? Name them, or say --all"))
	case mode != telemetry.ModeCollect && mode != telemetry.ModeCached:
		return exitWith(exitUsage, fmt.Errorf("--mode %q: want collect or cached", mode))
	}
	return nil
}

// refresh begins a refresh and follows it to its end.
func (a *app) refresh(ctx context.Context, f fleet, hosts []string, mode string) (telemetry.RefreshJob, error) {
	list := make([]any, len(hosts))
	for i, h := range hosts {
		list[i] = h
	}
	job, err := sendHub(ctx, f, "refresh", telemetry.CtlRequest{Mode: mode, Args: map[string]any{"hosts": list}}, telemetry.DecodeRefreshJob)
	if err != nil {
		if len(hosts) == 1 {
			err = f.near(ctx, hosts[0], err)
		}
		return job, err
	}
	if isTerminal(a.err) && !a.flags.quiet {
		defer func() { _, _ = io.WriteString(a.err, "\r"+clearLine) }()
	}
	return a.follow(ctx, f, job)
}

// follow asks for a job until it has ended. The hub that ran it may be gone for a while, or for good.
func (a *app) follow(ctx context.Context, f fleet, job telemetry.RefreshJob) (telemetry.RefreshJob, error) {
	t := time.NewTicker(jobPoll)
	defer t.Stop()
	heard := time.Now()
	for job.Ended == 0 {
		a.drawJob(job)
		select {
		case <-ctx.Done():
			return job, fmt.Errorf("interrupted at %d of %s: the refresh goes on at the hub (%w)", job.Done, hostsText(job.Total), ctx.Err())
		case <-t.C:
		}
		now, err := askHub(ctx, f, "job", map[string]any{"id": job.ID}, telemetry.DecodeRefreshJob)
		switch {
		case err == nil:
			job, heard = now, time.Now()
		case ctx.Err() != nil || silent(err) && time.Since(heard) < hubGone:
		case notFound(err):
			return job, exitWith(exitFailed, fmt.Errorf("the hub that ran the refresh is gone, after %d of %s: ask once more", job.Done, hostsText(job.Total)))
		default:
			return job, err
		}
	}
	return job, nil
}

// drawJob shows on a terminal how far a job is, in one line.
func (a *app) drawJob(job telemetry.RefreshJob) {
	if !isTerminal(a.err) || a.flags.quiet {
		return
	}
	width, _ := terminalSize(a.err)
	_, _ = io.WriteString(a.err, "\r"+clearLine+cut(jobBar(job), width-1))
}

// jobBar is the line that drawJob draws.
func jobBar(job telemetry.RefreshJob) string {
	const long = 30
	full := 0
	if job.Total > 0 {
		full = int(min(job.Done, job.Total) * long / job.Total)
	}
	line := fmt.Sprintf("refresh [%s%s] %d of %s, %s", strings.Repeat("#", full), strings.Repeat(".", long-full), job.Done, hostsText(job.Total), bytesText(job.Bytes))
	if job.Missing > 0 {
		line += fmt.Sprintf(", %d did not answer", job.Missing)
	}
	return line
}

// refreshed is what -o json shows of a refresh; its keys are stable.
type refreshed struct {
	ID           string   `json:"id"`
	Mode         string   `json:"mode"`
	Total        uint64   `json:"total"`
	Done         uint64   `json:"done"`
	Missing      uint64   `json:"missing"`
	NotConnected []string `json:"not_connected"`
	TimedOut     []string `json:"timeout"`
	Failed       []string `json:"failed"`
	Bytes        uint64   `json:"bytes"`
	TookMS       int64    `json:"took_ms"`
	Error        *failure `json:"error,omitzero"` // nil: all have answered
}

// finishRefresh shows what came of a refresh, and fails when a host did not answer.
func (a *app) finishRefresh(job telemetry.RefreshJob, err error) error {
	if missing := max(job.Missing, uint64(len(job.NotConnected)+len(job.TimedOut)+len(job.Failed))); err == nil && missing > 0 {
		err = exitWith(exitFailed, fmt.Errorf("%d of %s did not answer", missing, hostsText(job.Total)))
	}
	if a.flags.output == "json" {
		shown := refreshed{
			ID: job.ID, Mode: job.Mode, Total: job.Total, Done: job.Done, Missing: job.Missing, NotConnected: append([]string{}, job.NotConnected...),
			TimedOut: append([]string{}, job.TimedOut...), Failed: append([]string{}, job.Failed...), Bytes: job.Bytes, TookMS: jobTime(job).Milliseconds(),
		}
		if err != nil {
			shown.Error = failureOf([]error{err})
		}
		return errors.Join(json.NewEncoder(a.out).Encode(shown), err)
	}
	if job.Ended == 0 {
		return err
	}
	came := bytesText(job.Bytes)
	if job.Bytes == 0 && job.Missing < job.Total {
		came = "nothing has changed"
	}
	fmt.Fprintf(a.out, "%d of %s answered (%s), %s, in %v\n", job.Total-min(job.Missing, job.Total), hostsText(job.Total), job.Mode, came, jobTime(job))
	listed := a.nonAnswers("not connected", job.NotConnected) + a.nonAnswers("timeout", job.TimedOut) + a.nonAnswers("failed", job.Failed)
	if rest := job.Missing - min(job.Missing, uint64(listed)); rest > 0 {
		fmt.Fprintf(a.out, "and %d more\n", rest)
	}
	return err
}

// nonAnswers lists hosts that did not answer, and returns how many.
func (a *app) nonAnswers(why string, hosts []string) int {
	if len(hosts) > 0 {
		fmt.Fprintf(a.out, "%s:\n", why)
	}
	for _, h := range hosts {
		fmt.Fprintf(a.out, "  %s\n", printable(h))
	}
	return len(hosts)
}

func jobTime(job telemetry.RefreshJob) time.Duration {
	if job.Ended == 0 {
		return 0
	}
	return time.Duration(job.Ended - job.Begun).Round(time.Millisecond)
}

func hostsText(n uint64) string { return amount.Of(n, "host", "hosts") }
