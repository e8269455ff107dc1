import { CertError } from '../errors.js'
import type { HttpsPlace } from './https-place.js'

export interface EdgePlaceOptions {
  readonly domain: string
}

/** A domain of CDN or DCDN. */
export const edgePlace = (_options: EdgePlaceOptions): HttpsPlace => {
  throw new CertError('INTERNAL', 'not built yet')
}
