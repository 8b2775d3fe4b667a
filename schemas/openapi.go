// Package schemas holds the contract of the HTTP API.
package schemas

import _ "embed"

//go:embed openapi.json
var openapi []byte

// OpenAPI returns the description of the HTTP API. It is not to be changed.
func OpenAPI() []byte { return openapi }
