import type { CertificateBundle } from '../certificate/bundle.js'
import { calledAlone, wantedPlaces } from './deployment-record.js'
import { readDeployments } from './deployments.js'
import type { StateFolder } from './state-folder.js'

/** From when to when a certificate is valid. */
interface Validity {
  readonly notBefore: Date
  readonly notAfter: Date
}

/**
 * The newest certificate that this machine knows to have been put or wanted on each target, or in one place that it
 * found, beside this one: where reading is not permitted, nothing else keeps an older certificate from taking its place.
 */
export const newestOn = async (
  state: StateFolder,
  bundle: Pick<CertificateBundle, 'name' | 'fingerprint'>,
): Promise<(identity: string, place?: string) => Validity | undefined> => {
  const { records } = await readDeployments(state, bundle.name)
  const others = records
    .filter(({ fingerprint }) => fingerprint.sha256 !== bundle.fingerprint.sha256)
    .map((record) => ({ record, places: wantedPlaces(record) }))
  return (identity, place) => {
    const alone = calledAlone(identity, place)
    const newest = others.find(({ places }) => places.has(identity) || places.has(alone))?.record
    return newest && { notBefore: new Date(newest.notBefore), notAfter: new Date(newest.notAfter) }
  }
}
