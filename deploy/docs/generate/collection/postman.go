package collection

import (
	"net/http"
	"strconv"
	"strings"
)

// Types of the Postman Collection Format 2.1.0.
type (
	postmanCollection struct {
		Info     postmanInfo       `json:"info"`
		Item     []postmanFolder   `json:"item"`
		Variable []postmanVariable `json:"variable"`
	}
	postmanInfo struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Version     string `json:"version"`
		Schema      string `json:"schema"`
	}
	postmanFolder struct {
		Name string        `json:"name"`
		Item []postmanItem `json:"item"`
	}
	postmanItem struct {
		Name     string            `json:"name"`
		Event    []postmanEvent    `json:"event"`
		Request  postmanRequest    `json:"request"`
		Response []postmanResponse `json:"response"`
	}
	postmanEvent struct {
		Listen string        `json:"listen"`
		Script postmanScript `json:"script"`
	}
	postmanScript struct {
		Type string   `json:"type"`
		Exec []string `json:"exec"`
	}
	postmanRequest struct {
		Method      string            `json:"method"`
		Description string            `json:"description,omitempty"`
		Header      []postmanVariable `json:"header"`
		Body        *postmanBody      `json:"body,omitempty"`
		URL         postmanURL        `json:"url"`
	}
	postmanBody struct {
		Mode    string         `json:"mode"`
		Raw     string         `json:"raw"`
		Options postmanOptions `json:"options"`
	}
	postmanOptions struct {
		Raw postmanLanguage `json:"raw"`
	}
	postmanLanguage struct {
		Language string `json:"language"`
	}
	postmanURL struct {
		Raw   string            `json:"raw"`
		Host  []string          `json:"host"`
		Path  []string          `json:"path"`
		Query []postmanVariable `json:"query,omitempty"`
	}
	postmanVariable struct {
		Key         string `json:"key"`
		Value       string `json:"value"`
		Description string `json:"description,omitempty"`
		Disabled    bool   `json:"disabled,omitempty"`
	}
	postmanResponse struct {
		Name            string            `json:"name"`
		OriginalRequest postmanRequest    `json:"originalRequest"`
		Status          string            `json:"status"`
		Code            int               `json:"code"`
		Header          []postmanVariable `json:"header"`
		Body            string            `json:"body"`
	}
)

// Postman returns the collection for import into Postman. Each request has a test that checks the status code of its
// response.
func (c *Collection) Postman() []byte {
	out := postmanCollection{Info: postmanInfo{
		Name: c.title, Description: c.description, Version: c.version,
		Schema: "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
	}}
	for _, v := range c.variables {
		out.Variable = append(out.Variable, postmanVariable{Key: v.name, Value: v.value, Description: v.description})
	}
	for _, f := range c.folders {
		item := postmanFolder{Name: f.name}
		for _, r := range f.requests {
			item.Item = append(item.Item, r.postman())
		}
		out.Item = append(out.Item, item)
	}
	return []byte(formatJSON(out) + "\n")
}

func (r request) postman() postmanItem {
	status := strconv.Itoa(r.status)
	item := postmanItem{
		Name: r.name,
		Event: []postmanEvent{
			event("test", "pm.test('status code "+status+"', () => pm.response.to.have.status("+status+"));")},
		Request: postmanRequest{
			Method: r.method, Description: r.description, Header: postmanVariables(r.header),
			URL: postmanURL{
				Raw: "{{" + baseURL + "}}" + r.path, Host: []string{"{{" + baseURL + "}}"},
				Path: strings.Split(strings.TrimPrefix(r.path, "/"), "/"), Query: postmanVariables(r.query),
			},
		},
		Response: []postmanResponse{},
	}
	for _, name := range r.creates { // a collection variable, so that later requests use the same id
		newID := "pm.collectionVariables.set('" + name + "', pm.variables.replaceIn('{{$guid}}'));"
		item.Event = append(item.Event, event("prerequest", newID))
	}
	if query, _ := split(r.query, "="); len(query) > 0 {
		item.Request.URL.Raw += "?" + strings.Join(query, "&")
	}
	if r.body != "" {
		item.Request.Body = &postmanBody{"raw", r.body, postmanOptions{postmanLanguage{"json"}}}
	}
	for _, e := range r.examples {
		item.Response = append(item.Response, postmanResponse{
			Name: e.name, OriginalRequest: item.Request, Status: http.StatusText(r.status), Code: r.status,
			Header: []postmanVariable{{Key: "Content-Type", Value: e.mediaType}}, Body: e.body,
		})
	}
	return item
}

func event(listen, script string) postmanEvent {
	return postmanEvent{listen, postmanScript{"text/javascript", []string{script}}}
}

func postmanVariables(parameters []parameter) []postmanVariable {
	variables := []postmanVariable{}
	for _, p := range parameters {
		variables = append(variables, postmanVariable{p.name, p.value.value, p.description, !p.required})
	}
	return variables
}
