package api

import (
	"net/http"

	"github.com/pacewire/pacewire/telemetry"
)

// item is an entry of an inventory.
type item struct {
	Plugin  string                `json:"plugin"`
	Type    string                `json:"type"`             // info, manifest or status
	Version string                `json:"version,omitzero"` // of the program
	Digest  telemetry.Digest      `json:"digest"`
	Size    int64                 `json:"size"`             // bytes
	AgeMS   int64                 `json:"age_ms"`           // since it was collected
	Error   *telemetry.Fault      `json:"error,omitzero"`   // of the last collection
	Facts   *telemetry.PluginData `json:"facts,omitzero"`   // where they were asked for
	Missing string                `json:"missing,omitzero"` // why there are none of them
}

// mostFacts bounds an answer that has the facts of all entries.
const mostFacts = 16 << 20

func (c *call) inventory() error {
	h, err := c.host()
	if err != nil {
		return err
	}
	with, err := c.yes("facts")
	if err != nil {
		return err
	}
	list, err := c.s.o.Hub.Inventory(c.r.Context(), h.Host)
	if err != nil {
		return err
	}
	items := make([]item, len(list))
	room := int64(mostFacts)
	for i, it := range list {
		items[i] = item{Plugin: it.Plugin, Type: it.Type, Version: it.Version, Digest: it.Digest, Size: it.Size, AgeMS: it.AgeMS, Error: it.Error}
		if room -= it.Size; with && room >= 0 {
			c.addFacts(h.Host, &items[i])
		} else if with {
			items[i].Missing = "the answer would be too long: ask for this entry alone"
		}
	}
	steady := make([]item, len(items))
	for i, it := range items {
		it.AgeMS = 0
		steady[i] = it
	}
	return c.tagged(steady, struct {
		Host  string `json:"host"`
		Items []item `json:"items"`
	}{h.Host, items})
}

func (c *call) addFacts(host string, it *item) {
	data, err := c.s.o.Hub.Facts(c.r.Context(), host, it.Plugin, it.Type)
	if err != nil {
		it.Missing = c.s.told(err, "request", c.w.id).Detail
		return
	}
	it.Facts = &data
}

func (c *call) facts() error {
	h, err := c.host()
	if err != nil {
		return err
	}
	plugin, err := c.plugin()
	if err != nil {
		return err
	}
	typ := c.r.PathValue("type")
	switch typ {
	case telemetry.DataInfo, telemetry.DataManifest, telemetry.DataStatus:
	default:
		return invalid("type", "%.80q is no type of entry: info, manifest or status", typ)
	}
	data, err := c.s.o.Hub.Facts(c.r.Context(), h.Host, plugin, typ)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, data)
}

// modes of a refresh; by default what is there is sent again.
func (c *call) mode() (string, error) {
	switch mode := c.query.Get("mode"); mode {
	case "":
		return telemetry.ModeCached, nil
	case telemetry.ModeCached, telemetry.ModeCollect:
		return mode, nil
	default:
		return "", invalid("mode", "mode=%s: want cached or collect", mode)
	}
}

func (c *call) refreshHost() error {
	h, err := c.host()
	if err != nil {
		return err
	}
	return c.refreshHosts([]string{h.Host})
}

// mostHosts bounds the hosts that one refresh may name; all are meant by naming none.
const mostHosts = 10_000

func (c *call) refresh() error {
	var body struct {
		Hosts []string `json:"hosts"`
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	if len(body.Hosts) > mostHosts {
		return invalid("hosts", "%d hosts: name at most %d, or none for all", len(body.Hosts), mostHosts)
	}
	if body.Hosts != nil && len(body.Hosts) == 0 {
		return invalid("hosts", "an empty list of hosts").hint("leave it out for all hosts")
	}
	hosts := make([]string, len(body.Hosts))
	for i, id := range body.Hosts {
		h, err := c.hostCalled(id)
		if err != nil {
			return err
		}
		hosts[i] = h.Host
	}
	return c.refreshHosts(hosts)
}

func (c *call) refreshHosts(hosts []string) error {
	mode, err := c.mode()
	if err != nil {
		return err
	}
	j, err := c.s.o.Hub.Refresh(hosts, mode)
	if err != nil {
		return err
	}
	return c.accepted(jobOfRefresh(j))
}
