import type { CertificateBundle } from '../certificate/bundle.js'
import { calledAlone, type DeploymentRecord, doneAt } from './deployment-record.js'
import { deploymentNames, readDeployments, recordedChain } from './deployments.js'
import type { StateFolder } from './state-folder.js'

/** Certificates on record beside the one that is deployed: leaf and intermediates, PEM, as far as they can be read. */
interface RecordedCertificates {
  /** SHA-1 or SHA-256 of the leaf, hexadecimal, lower case. */
  withFingerprint(fingerprint: string): Promise<string | undefined>
  /** The one that a step did last, on the target or in one place that it found. */
  lastDone(step: string, place?: string): Promise<string | undefined>
}

/** What this machine knows of certificates that stand on a target. Read when it is asked for, each time. */
export const recordedOn =
  (state: StateFolder, { name, fingerprint }: Pick<CertificateBundle, 'name' | 'fingerprint'>) =>
  (identity: string): RecordedCertificates => {
    const others = async (of: string): Promise<DeploymentRecord[]> => {
      const { records } = await readDeployments(state, of)
      return records.filter((record) => record.fingerprint.sha256 !== fingerprint.sha256)
    }
    return {
      // It may have been put there under another name.
      withFingerprint: (wanted) =>
        ifReadable(async () => {
          const names = await deploymentNames(state)
          for (const one of [name, ...names.filter((other) => other !== name)]) {
            const found = (await others(one)).find(({ fingerprint: { sha1, sha256 } }) =>
              [sha1, sha256].includes(wanted),
            )
            if (found !== undefined) return await recordedChain(state, found)
          }
          return undefined
        }),
      lastDone: (step, place) =>
        ifReadable(async () => {
          const places = [identity, calledAlone(identity, place)]
          const done = (await others(name)).map((record) => ({ record, at: doneAt(record, step, places) }))
          const [last] = done.filter(({ at }) => at !== '').sort((one, other) => (one.at < other.at ? 1 : -1))
          return last && (await recordedChain(state, last.record))
        }),
    }
  }

/** What cannot be read is not known. */
const ifReadable = (read: () => Promise<string | undefined>): Promise<string | undefined> =>
  read().catch(() => undefined)
