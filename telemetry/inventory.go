package telemetry

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"slices"
)

// InventoryItem says which version of one plugin's data of one type exists.
// On the wire it is the array [plugin, type, version, cfg, digest].
type InventoryItem struct {
	Plugin  string
	Type    string // DataInfo, DataManifest or DataStatus
	Version string // of the program
	Config  Digest // of the config it was made under
	Digest  Digest // of the data
}

// InventoryDigest is the digest of all items, whatever their order: watcher and watched hold the same inventory exactly
// when it is equal.
func InventoryDigest(items []InventoryItem) Digest {
	sorted := slices.SortedFunc(slices.Values(items), func(a, b InventoryItem) int {
		return cmp.Or(cmp.Compare(a.Plugin, b.Plugin), cmp.Compare(a.Type, b.Type))
	})
	h := sha256.New()
	var buf []byte
	for _, it := range sorted {
		buf = buf[:0]
		for _, text := range []string{it.Plugin, it.Type, it.Version} {
			buf = append(append(buf, text...), 0)
		}
		buf = append(append(buf, it.Config[:]...), it.Digest[:]...)
		h.Write(buf)
	}
	return Digest(h.Sum(nil)[:16])
}

// MarshalJSON writes the array.
func (it InventoryItem) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{it.Plugin, it.Type, it.Version, it.Config, it.Digest})
}

func (it InventoryItem) pack(w *controlWriter) error {
	return w.tuple(it.Plugin, it.Type, it.Version, it.Config, it.Digest)
}

func (it *InventoryItem) unpack(r *controlReader) error {
	return r.tuple(&it.Plugin, &it.Type, &it.Version, &it.Config, &it.Digest)
}

// RefreshManifest is the payload of the reply to a refresh: what exists. The plugin data that were wanted follow.
type RefreshManifest struct {
	Items []RefreshItem `json:"inv_list,omitzero"`

	// More says that the list goes on: ask again with the last item, as plugin/type, as args.after.
	More bool `json:"more,omitzero"`
}

// RefreshItem is an InventoryItem with what a refresh adds to it.
// On the wire it is the array [plugin, type, version, cfg, digest, size, age_ms, error].
type RefreshItem struct {
	InventoryItem
	Size  int64  // bytes of the encoded data
	AgeMS int64  // since it was collected
	Error *Fault // of the last collection
}

// MarshalJSON writes the array.
func (it RefreshItem) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{it.Plugin, it.Type, it.Version, it.Config, it.Digest, it.Size, it.AgeMS, it.Error})
}

func (it RefreshItem) pack(w *controlWriter) error {
	return w.tuple(it.Plugin, it.Type, it.Version, it.Config, it.Digest, it.Size, it.AgeMS, it.Error)
}

func (it *RefreshItem) unpack(r *controlReader) error {
	return r.tuple(&it.Plugin, &it.Type, &it.Version, &it.Config, &it.Digest, &it.Size, &it.AgeMS, &it.Error)
}

func (RefreshManifest) bounds() bounds { return ctlBounds }

func (RefreshManifest) check() error { return nil }

// DecodeRefreshManifest decodes and checks the payload of a reply to refresh.
func DecodeRefreshManifest(body []byte) (RefreshManifest, Encoding, error) {
	return decodeControl[RefreshManifest](body)
}
