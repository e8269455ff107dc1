import type { HttpsFacts } from '../../src/https/https-place.js'

/** Nothing is known of a place. */
export const noFacts: HttpsFacts = {
  https: null,
  plainHttp: null,
  redirectCode: null,
  tls: null,
  hsts: null,
  http2: null,
  gzip: null,
  brotli: null,
}
