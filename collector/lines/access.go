package lines

import (
	"net/http"
	"strings"
)

// asBasic hands requests to h whose name and password stand where basic authentication has them. Clients of InfluxDB 1 may send them as
// u and p of the query, and those of version 2 that write to a version 1 as a token of both.
func asBasic(username string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, password, ok := credentials(r, username); ok {
			r = r.Clone(r.Context())
			r.SetBasicAuth(name, password)
		}
		h.ServeHTTP(w, r)
	})
}

// credentials returns the name and the password of a request that has them in a way of its own. A header counts before the query.
func credentials(r *http.Request, username string) (name, password string, ok bool) {
	header := r.Header.Get("Authorization")
	if header == "" {
		query := r.URL.Query()
		return query.Get("u"), query.Get("p"), query.Has("u")
	}
	kind, token, _ := strings.Cut(header, " ")
	name, password, ok = strings.Cut(strings.TrimSpace(token), ":")
	return name, password, ok && strings.EqualFold(kind, "Token") && name == username
}

// refuse answers a request that has not brought what is asked for.
func refuse(w http.ResponseWriter, r *http.Request) {
	var d dialect = version1{w}
	if strings.HasPrefix(r.URL.Path, "/api/v2/") {
		d = version2{w}
	}
	d.fail(http.StatusUnauthorized, "no or a wrong token, or name and password: they are bearer_token, username and password of the plugin")
}
