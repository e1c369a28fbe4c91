// Package cluster reads the stack's objects in Kubernetes and opens the way to
// the queue inside it.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// requestTimeout bounds one request to the API server.
const requestTimeout = 15 * time.Second

// Client reads one namespace of a cluster.
type Client struct {
	config    *rest.Config
	typed     kubernetes.Interface
	dynamic   dynamic.Interface
	namespace string
}

// Workers is how many workers there are.
type Workers struct {
	// Ready pass their readiness probe; Wanted is what the scaler asked for.
	Ready  int `json:"ready"`
	Wanted int `json:"wanted"`
}

// New returns a client for namespace. kubeconfig is a KUBECONFIG list of files,
// empty for the user's default file; contextName is empty for the current context.
// No request is made yet.
func New(kubeconfig, contextName, namespace string) (*Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if kubeconfig != "" {
		rules.Precedence = filepath.SplitList(kubeconfig)
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: contextName})
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig (context %q): %w; is the cluster made? `make up` makes the embedded one", contextName, err)
	}
	config.WarningHandler = rest.NoWarnings{}
	config.Timeout = requestTimeout
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("creating a client for %s: %w", config.Host, err)
	}
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("creating a client for %s: %w", config.Host, err)
	}
	return &Client{config: config, typed: typed, dynamic: untyped, namespace: namespace}, nil
}

// Host is the address of the API server.
func (c *Client) Host() string { return c.config.Host }

// Workers reads the worker Deployment's replicas.
func (c *Client) Workers(ctx context.Context, deployment string) (Workers, error) {
	d, err := c.typed.AppsV1().Deployments(c.namespace).Get(ctx, deployment, metav1.GetOptions{})
	if err != nil {
		return Workers{}, c.explain("reading the worker deployment", deployment, err)
	}
	return countWorkers(d), nil
}

// Password reads one key of a Secret.
func (c *Client) Password(ctx context.Context, secret, key string) (string, error) {
	s, err := c.typed.CoreV1().Secrets(c.namespace).Get(ctx, secret, metav1.GetOptions{})
	if err != nil {
		return "", c.explain("reading the queue's password from secret", secret, err)
	}
	value, ok := s.Data[key]
	if !ok {
		return "", fmt.Errorf("reading the queue's password: secret %s/%s has no key %q; `pulumi up` mends it", c.namespace, secret, key)
	}
	return string(value), nil
}

// endpoint is the ready pod behind a Service, and the pod's port that the Service's port leads to.
func (c *Client) endpoint(ctx context.Context, service string, port int) (pod string, target int, err error) {
	s, err := c.typed.CoreV1().Services(c.namespace).Get(ctx, service, metav1.GetOptions{})
	if err != nil {
		return "", 0, c.explain("reading the queue's service", service, err)
	}
	pods, err := c.typed.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(s.Spec.Selector).String()})
	if err != nil {
		return "", 0, c.explain("listing the pods of service", service, err)
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; isReady(p) && p.DeletionTimestamp == nil {
			target, err := targetPort(s, p, port)
			return p.Name, target, err
		}
	}
	return "", 0, fmt.Errorf("no pod behind service %s/%s is ready; `caravan status` says why", c.namespace, service)
}

// explain says what was being done and, where the error allows, what to do.
func (c *Client) explain(doing, name string, err error) error {
	at := fmt.Sprintf("%s %s/%s", doing, c.namespace, name)
	var status apierrors.APIStatus
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s: it does not exist; `pulumi up` creates it: %w", at, err)
	case errors.As(err, &status), errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", at, err)
	}
	return fmt.Errorf("%s: the cluster at %s cannot be reached (`make up` starts the embedded one): %w", at, c.config.Host, err)
}

// targetPort resolves the Service's port on the pod: a number or a container port's name.
func targetPort(s *corev1.Service, pod *corev1.Pod, port int) (int, error) {
	for _, p := range s.Spec.Ports {
		if int(p.Port) != port {
			continue
		}
		if number := p.TargetPort.IntValue(); number != 0 {
			return number, nil
		}
		if p.TargetPort.StrVal == "" {
			return port, nil
		}
		for _, container := range pod.Spec.Containers {
			for _, containerPort := range container.Ports {
				if containerPort.Name == p.TargetPort.StrVal {
					return int(containerPort.ContainerPort), nil
				}
			}
		}
		return 0, fmt.Errorf("pod %s has no port named %q, which service %s leads to", pod.Name, p.TargetPort.StrVal, s.Name)
	}
	return 0, fmt.Errorf("service %s has no port %d", s.Name, port)
}

func isReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
