package docker

import (
	"context"
	"maps"
	"sync"

	"github.com/docker/docker/api/types/image"
)

// imageCache holds the labels of images by ID. An ID's labels never change.
type imageCache struct {
	asking sync.Mutex // one request at a time

	mu      sync.Mutex // never held during a request
	labels  map[string]map[string]string
	absent  map[string]struct{} // used by a container, and not in the list
	changes int                 // image events so far
	read    int                 // changes before the list was read, plus 1; 0 is never
}

func (i *imageCache) invalidate() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.changes++
}

// stale tells whether the cache cannot answer for the images in use, and the changes so far.
func (i *imageCache) stale(used map[string]struct{}) (stale bool, changes int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id := range used {
		_, known := i.labels[id]
		_, absent := i.absent[id]
		stale = stale || !known && !absent
	}
	return stale || i.read != i.changes+1, i.changes
}

// put takes the list that was asked for after so many changes. An image that was removed under a
// running container keeps its labels.
func (i *imageCache) put(list []image.Summary, used map[string]struct{}, changes int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	labels := make(map[string]map[string]string, len(list))
	for _, s := range list {
		labels[s.ID] = s.Labels
	}
	i.absent = map[string]struct{}{}
	for id := range used {
		if _, listed := labels[id]; listed {
			continue
		}
		if old, ok := i.labels[id]; ok {
			labels[id] = old
		} else {
			i.absent[id] = struct{}{}
		}
	}
	i.labels, i.read = labels, changes+1
}

// ImageLabels returns the labels that images bring along, by image ID ("sha256:…", a Container's
// ImageID). It asks, with one GET /images/json, only when an image event has come, a container of the last
// List uses an image it does not know, or there is no event stream. An image that was removed while
// containers use it is missing, unless it was seen before.
func (c *Client) ImageLabels(ctx context.Context) (map[string]map[string]string, error) {
	c.images.asking.Lock()
	defer c.images.asking.Unlock()
	used := c.usedImages()
	stale, changes := c.images.stale(used)
	if !stale && c.Connected() {
		return c.images.copy(), nil
	}
	err := c.ask(ctx, call{what: "list images of Docker", endpoint: "GET /images/json", instead: ", or set TRUST_IMAGE_LABELS=true"}, func(ctx context.Context, e engine) error {
		// All: an image that was built upon and lost its tag counts as an intermediate one.
		list, err := e.ImageList(ctx, image.ListOptions{All: true})
		if err == nil {
			c.images.put(list, used, changes)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return c.images.copy(), nil
}

func (c *Client) usedImages() map[string]struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	used := map[string]struct{}{}
	for _, container := range c.cache.containers {
		used[container.ImageID] = struct{}{}
	}
	return used
}

func (i *imageCache) copy() map[string]map[string]string {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := make(map[string]map[string]string, len(i.labels))
	for id, labels := range i.labels {
		out[id] = maps.Clone(labels)
	}
	return out
}
