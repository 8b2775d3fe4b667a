package conform

import (
	"fmt"

	"github.com/pacewire/pacewire/telemetry"
)

// refreshes asks for all plugin data, and compares what comes with what was listed.
func (s *stage) refreshes(mode string) error {
	s.mu.Lock()
	s.data = nil
	s.mu.Unlock()
	reply, body, err := s.ask(s.ctx, "refresh", telemetry.CtlRequest{Want: []string{"*"}, Mode: mode})
	switch {
	case err != nil:
		return err
	case !reply.OK:
		return broken(body, "a refresh is not answered with ok")
	case len(reply.Payload) == 0:
		return broken(body, "the answer to refresh has no list: want payload.inv_list")
	}
	list, _, err := telemetry.DecodeRefreshManifest(reply.Payload)
	if err != nil {
		return broken(body, "the list in the answer to refresh cannot be read: %v", err)
	}
	for _, it := range list.Items {
		if err := s.sends(it, body); err != nil {
			return err
		}
	}
	return s.sameAsBeats(list.Items, body)
}

// sends waits for the plugin data of an entry, and checks them.
func (s *stage) sends(it telemetry.RefreshItem, list []byte) error {
	what := fmt.Sprintf("a PLG of %s/%s, which is wanted and listed", it.Plugin, it.Type)
	if it.Plugin != s.name {
		return broken(list, "it lists an entry of %q: want its own, of %q", it.Plugin, s.name)
	}
	var d telemetry.PluginData
	var last []byte
	var fault error
	err := s.until(s.ctx, soon, what, func() bool {
		var whole bool
		d, last, whole, fault = s.joined(it)
		return whole || fault != nil
	})
	switch {
	case fault != nil:
		return fault
	case err != nil:
		return err
	case d.Digest != it.Digest:
		return broken(last, "the digest of %s/%s is %s, in the list it is %s", it.Plugin, it.Type, d.Digest, it.Digest)
	case d.ProgramVersion != it.Version:
		return broken(last, "the version of %s/%s is %q, in the list it is %q", it.Plugin, it.Type, d.ProgramVersion, it.Version)
	}
	return nil
}

// joined returns the plugin data of an entry, and whether all of it is there.
func (s *stage) joined(it telemetry.RefreshItem) (d telemetry.PluginData, last []byte, whole bool, fault error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var parts []telemetry.PluginData
	for _, m := range s.data {
		d, _, err := telemetry.DecodePluginData(m.body)
		if err != nil {
			return d, m.body, false, broken(m.body, "a PLG cannot be read: %v", err)
		}
		if d.Host != hostName || d.Plugin != s.name {
			return d, m.body, false, broken(m.body, "a PLG says host %q and plugin %q: want its own", d.Host, d.Plugin)
		}
		if d.Type != it.Type {
			continue
		}
		if d.Parts == 0 {
			return d, m.body, true, trueDigest(d, m.body)
		}
		parts, last = append(parts, d), m.body
	}
	if len(parts) == 0 || uint64(len(parts)) < parts[0].Parts {
		return d, last, false, nil
	}
	d, err := telemetry.JoinPluginData(parts[:parts[0].Parts])
	if err != nil {
		return d, last, false, broken(last, "the parts of %s/%s do not fit: %v", it.Plugin, it.Type, err)
	}
	return d, last, true, nil
}

// sameAsBeats compares the list with the digest in the heartbeats, which may have changed meanwhile.
func (s *stage) sameAsBeats(items []telemetry.RefreshItem, list []byte) error {
	var plain []telemetry.InventoryItem
	for _, it := range items {
		plain = append(plain, it.InventoryItem)
	}
	want := telemetry.InventoryDigest(plain)
	err := s.until(s.ctx, soon, "a heartbeat whose inv is that of the list", func() bool {
		b, ok := s.last()
		return ok && b.Digest == want
	})
	if err != nil && s.ctx.Err() == nil {
		return broken(list, "the digest of the list is %s, and the heartbeats say another inv", want)
	}
	return err
}

// trueDigest compares the digest of a PLG with the bytes it is taken over.
func trueDigest(d telemetry.PluginData, body []byte) error {
	data, err := telemetry.PluginDataBytes(body)
	if err != nil || len(data) == 0 {
		return nil // an error instead of data
	}
	if want := telemetry.DigestOf(data); d.Digest != want {
		return broken(body, "the digest of its data is %s, as they stand in the message, and it says %s", want, d.Digest)
	}
	return nil
}
