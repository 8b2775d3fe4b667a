package config

import (
	"regexp"
	"sync"
)

// pattern is a regular expression that is compiled when it is first used: each plugin's process has this package in it
// and never reads a config.
type pattern struct {
	text     string
	once     sync.Once
	compiled *regexp.Regexp
}

func (p *pattern) re() *regexp.Regexp {
	p.once.Do(func() { p.compiled = regexp.MustCompile(p.text) })
	return p.compiled
}
