package network

import (
	"slices"
	"strings"

	"github.com/pacewire/pacewire/internal/machine"
)

// resolver is how the machine finds addresses for names.
type resolver struct {
	Options  []string `json:"options,omitzero"`
	Search   []string `json:"search,omitzero"`
	Servers  []string `json:"servers,omitzero"`  // in the order they are asked
	Upstream []string `json:"upstream,omitzero"` // that systemd-resolved asks, where it is the server
}

const maxResolver = 32 // of each list

func (s *survey) resolver() {
	r := s.resolvConf("etc/resolv.conf")
	if slices.Contains(r.Servers, "127.0.0.53") {
		r.Upstream = s.resolvConf("run/systemd/resolve/resolv.conf").Servers
	}
	if len(r.Servers)+len(r.Search)+len(r.Options) > 0 {
		s.facts["dns"] = r
	}
}

func (s *survey) resolvConf(file string) resolver {
	var r resolver
	for line := range s.Lines(s.Root, file) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		for i := range words {
			words[i] = machine.Clean(words[i])
		}
		switch words[0] {
		case "nameserver":
			r.Servers = append(r.Servers, words[1])
		case "search", "domain": // the last of them counts
			r.Search = words[1:]
		case "options":
			r.Options = words[1:]
		}
	}
	for _, list := range []*[]string{&r.Servers, &r.Search, &r.Options} {
		*list = (*list)[:min(len(*list), maxResolver)]
	}
	return r
}
