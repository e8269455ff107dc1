import { CertError } from '../errors.js'
import type { HttpsPlace } from './https-place.js'

export interface BucketPlaceOptions {
  readonly bucket: string
}

/** A bucket, with the domains that are bound to it. */
export const bucketPlace = (_options: BucketPlaceOptions): HttpsPlace => {
  throw new CertError('INTERNAL', 'not built yet')
}
