package telemetry

// PluginEnv is the payload of the reply to env: what somebody needs who starts a plugin himself.
type PluginEnv struct {
	Environ []string `json:"environ"` // as "KEY=value"
}

func (PluginEnv) bounds() bounds { return ctlBounds }

func (PluginEnv) check() error { return nil }

// DecodePluginEnv decodes and checks the payload of a reply to env.
func DecodePluginEnv(body []byte) (PluginEnv, Encoding, error) { return decodeControl[PluginEnv](body) }
