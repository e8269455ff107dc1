import { breath } from '../breath.js'
import { toCertError } from '../errors.js'
import { renewalMoment } from '../pipeline/due.js'
import { damagedRecord } from '../pipeline/sync.js'
import { isStandby, standbyEnd } from '../standby-name.js'
import { type CertificateRecord, CertificateStore, certificateNames } from '../state/certificates.js'
import type { DeploymentRecord, RecordedError } from '../state/deployment-record.js'
import { deploymentNames, readDeployments } from '../state/deployments.js'
import { type FailedRenewal, readFailedRenewal } from '../state/failed-renewal.js'
import { type Hold, readHold } from '../state/hold.js'
import { type OrderInProgress, OrdersInProgress } from '../state/order-in-progress.js'
import type { StateFolder } from '../state/state-folder.js'

/** All that is on record of one name. */
export interface NameFacts {
  readonly name: string
  /** What is or was wanted somewhere: the one that is held, else the newest certificate, first. */
  readonly records: readonly DeploymentRecord[]
  /** What cannot be made sense of, or not be read. */
  readonly damaged: readonly Damaged[]
  /** What our issuer remembers of it. */
  readonly certificate: CertificateRecord | undefined
  /** Does `renew` look after it? */
  readonly isRenewed: boolean
  /** When it is to be renewed, where one was issued. */
  readonly renewal: Date | undefined
  readonly failedRenewal: FailedRenewal | undefined
  readonly orders: readonly OrderInProgress[]
  readonly hold: Pick<Hold, 'archive' | 'at'> | undefined
}

/** Does `renew` look after it, or would it, had it got as far as issuing it once? */
export const isLookedAfter = ({ isRenewed, certificate, failedRenewal }: NameFacts): boolean =>
  isRenewed || (certificate === undefined && failedRenewal !== undefined)

export interface Damaged {
  readonly id: string
  readonly error: RecordedError
}

/** Every name of which anything is on record: wanted somewhere, or issued by us. */
export const recordedNames = async (state: StateFolder): Promise<readonly string[]> =>
  [...new Set([...(await deploymentNames(state)), ...certificateNames(state)])].sort()

/** One name after another, so that thousands of them take no more memory than one. */
export async function* readAllFacts(state: StateFolder, names?: readonly string[]): AsyncGenerator<NameFacts> {
  for (const name of names ?? (await recordedNames(state))) {
    yield await readNameFacts(state, name)
    await breath()
  }
}

/** Never throws: what cannot be read is one of the facts. */
export const readNameFacts = async (state: StateFolder, name: string): Promise<NameFacts> => {
  const damaged: Damaged[] = []
  const unlessBroken = async <T>(id: string, read: () => Promise<T> | T, otherwise: T): Promise<T> => {
    try {
      return await read()
    } catch (thrown) {
      damaged.push({ id, error: toCertError(thrown) })
      return otherwise
    }
  }
  const { records, damaged: unknown } = await unlessBroken('deployments', () => readDeployments(state, name), {
    records: [],
    damaged: [],
  })
  for (const { id, path } of unknown) damaged.push({ id, error: damagedRecord(name, path) })
  const store = new CertificateStore(state, name)
  const certificate = await unlessBroken('certificate', () => store.read(), undefined)
  const isBroken = damaged.some(({ id }) => id === 'certificate')
  if (certificate === undefined && !isBroken && (await store.isThere())) {
    damaged.push({ id: 'certificate', error: damagedCertificate(name, state) })
  }
  const current = certificate?.current
  const isRenewed = certificate !== undefined && !certificate.forgotten && (await isStandbyWanted(state, name))
  const hold = await unlessBroken('hold', () => readHold(state, name), undefined)
  const isHeld = ({ fingerprint }: DeploymentRecord): boolean => fingerprint.sha256 === hold?.sha256
  return {
    name,
    records: [...records.filter(isHeld), ...records.filter((one) => !isHeld(one))],
    damaged,
    certificate,
    isRenewed,
    renewal: isRenewed && current !== undefined ? renewalMoment(current) : undefined,
    failedRenewal: await unlessBroken('renewal', () => readFailedRenewal(state, name), undefined),
    orders: await unlessBroken('orders', () => new OrdersInProgress(state, name).list(), []),
    hold,
  }
}

/** One that is kept ready is renewed as long as that for which it is kept says so. */
const isStandbyWanted = async (state: StateFolder, name: string): Promise<boolean> => {
  if (!isStandby(name)) return true
  const own = await new CertificateStore(state, name.slice(0, -standbyEnd.length)).read().catch(() => undefined)
  return own !== undefined && !own.forgotten && own.issue.standby !== undefined
}

const damagedCertificate = (name: string, state: StateFolder): RecordedError => ({
  code: 'STATE_UNUSABLE',
  message: `what was remembered of ${name} is damaged (${state.path('certificates', name)})`,
  hint: 'issue it once more with acme-oss issue-and-deploy; or remove that folder, if it is not wanted any more',
})
