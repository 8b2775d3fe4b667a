package scrape

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// shortest is how often the files of targets may be looked at, at most.
const shortest = 10 * time.Millisecond

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	faults = append(faults, c.checkTargets(), c.checkAccess())
	for _, glob := range c.TargetFiles {
		if _, err := filepath.Match(glob, ""); err != nil {
			fault("target_files %q: %w: close the bracket, or put \\ before it", glob, err)
		}
	}
	if c.TargetFilesEvery.Std() < shortest {
		fault("target_files_every %v: want %v or more, such as 30s", c.TargetFilesEvery, shortest)
	}
	if c.Scheme != "http" && c.Scheme != "https" {
		fault("scheme %q: want http or https", c.Scheme)
	}
	if c.ScrapeTimeout <= 0 {
		fault("scrape_timeout %v: want more than nothing, such as 10s", c.ScrapeTimeout)
	}
	if c.MaxSamples < 1 {
		fault("max_samples %d: want 1 or more", c.MaxSamples)
	}
	if c.MaxBody < 1 {
		fault("max_body_bytes %d: want 1 or more", c.MaxBody)
	}
	if c.Stale != staleCount && c.Stale != staleMark {
		fault("stale %q: want %s or %s", c.Stale, staleCount, staleMark)
	}
	_, badProxy := newProxy(c.Proxy)
	_, badRules := compile("metric_relabel", c.MetricRelabel)
	return errors.Join(append(faults, badProxy, badRules)...)
}

// checkTargets reports targets that cannot be asked, and rules that cannot be applied to them.
func (c Config) checkTargets() error {
	rules, err := compile("relabel", c.Relabel)
	if err != nil {
		return err
	}
	var faults []error
	for _, g := range append([]Group{{Targets: c.Targets}}, c.Groups...) {
		for _, address := range g.Targets {
			_, _, err := newTarget(c, rules, address, g.Labels)
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// checkAccess reports what is wrong with how targets are to be asked.
func (c Config) checkAccess() error {
	var faults []error
	ways := 0
	for _, used := range []bool{c.BearerToken != "", c.RenewedFile != "", c.Username != "" || c.Password != ""} {
		if used {
			ways++
		}
	}
	if ways > 1 {
		faults = append(faults, errors.New("bearer_token, renewed_token_file and username: give one of them"))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		faults = append(faults, fmt.Errorf("cert_file %q and key_file %q: give both or none", c.CertFile, c.KeyFile))
	}
	return errors.Join(faults...)
}
