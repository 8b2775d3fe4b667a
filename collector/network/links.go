package network

import (
	"cmp"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pacewire/pacewire/internal/machine"
)

// link is an interface, as a fact.
type link struct {
	Addresses []netip.Prefix `json:"addresses,omitzero"`
	MAC       string         `json:"mac,omitzero"`
	Master    string         `json:"master,omitzero"` // the bond or bridge that it is part of
	MTU       int            `json:"mtu,omitzero"`
	Name      string         `json:"name"`
	State     string         `json:"state"`
	Type      string         `json:"type,omitzero"`
	VLAN      string         `json:"vlan_of,omitzero"` // the interface that it is a VLAN of
}

func (s *survey) links() {
	all, err := s.interfaces()
	s.Fault(err)
	passing := s.temporary()
	var list []link
	for _, i := range all {
		if s.skipped(i.Name) {
			continue
		}
		list = append(list, s.link(i, passing))
	}
	slices.SortFunc(list, func(a, b link) int { return cmp.Compare(a.Name, b.Name) })
	if list = cut(s, list); len(list) > 0 {
		s.facts["interfaces"] = list
	}
}

func (s *survey) link(i net.Interface, passing map[netip.Addr]bool) link {
	at := "class/net/" + i.Name + "/"
	l := link{
		Name: machine.Clean(i.Name), MAC: i.HardwareAddr.String(), MTU: i.MTU,
		State: s.Try(s.Sys, at+"operstate"), Type: s.kind(i, at), Master: s.Sys.Base(at + "master"), VLAN: s.parent(i.Name),
	}
	if l.State == "" || l.State == "unknown" { // what has no carrier to lose
		l.State = "down"
		if i.Flags&net.FlagUp != 0 {
			l.State = "up"
		}
	}
	addresses, err := s.addresses(&i)
	s.Fault(err)
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !passing[p.Addr()] {
			l.Addresses = append(l.Addresses, p)
		}
	}
	slices.SortFunc(l.Addresses, netip.Prefix.Compare)
	l.Addresses = cut(s, slices.Compact(l.Addresses))
	return l
}

// kind tells what an interface is.
func (s *survey) kind(i net.Interface, at string) string {
	for _, mark := range []struct{ file, kind string }{
		{"bonding", "bond"}, {"bridge", "bridge"}, {"wireless", "wireless"}, {"phy80211", "wireless"}, {"tun_flags", "tun"}, {"device", "ethernet"},
	} {
		if s.Sys.Has(at + mark.file) {
			return mark.kind
		}
	}
	for line := range s.Lines(s.Sys, at+"uevent") {
		if kind, ok := strings.CutPrefix(line, "DEVTYPE="); ok {
			return machine.Clean(kind)
		}
	}
	if i.Flags&net.FlagLoopback != 0 {
		return "loopback"
	}
	return ""
}

// parent returns the interface that a VLAN is on.
func (s *survey) parent(name string) string {
	for line := range s.Lines(s.Proc, "net/vlan/"+name) {
		if device, ok := strings.CutPrefix(line, "Device:"); ok {
			return machine.Clean(device)
		}
	}
	return ""
}

// Flags of an IPv6 address in if_inet6.
const (
	flagTemporary = 0x01
	flagTentative = 0x40
)

// temporary returns the IPv6 addresses that are no facts: those that the machine makes up for a day, and those that are not
// its own yet.
func (s *survey) temporary() map[netip.Addr]bool {
	found := map[netip.Addr]bool{}
	for line := range s.Lines(s.Proc, "net/if_inet6") {
		words := strings.Fields(line)
		if len(words) < 6 {
			continue
		}
		flags, err := strconv.ParseUint(words[4], 16, 32)
		if a, ok := hexAddr(words[0]); ok && err == nil && flags&(flagTemporary|flagTentative) != 0 {
			found[a] = true
		}
	}
	return found
}

// hexAddr reads an IPv6 address as procfs writes it.
func hexAddr(text string) (netip.Addr, bool) {
	b, err := hex.DecodeString(text)
	if err != nil {
		return netip.Addr{}, false
	}
	a, ok := netip.AddrFromSlice(b)
	return a, ok && a.Is6()
}
