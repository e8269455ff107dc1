import type { BoundDomains } from '../aliyun/bound-domains.js'
import { type Asked, lookAnonymously } from '../proof/anonymous-look.js'
import type { Looking } from './served.js'
import type { DeployTarget } from './target.js'

export interface OpenOptions {
  readonly bucket: string
  /** Where the bucket itself answers. */
  readonly own: Asked
  readonly domains: BoundDomains
  /** The other targets of the same deployment. */
  readonly others: readonly DeployTarget[]
  readonly context: { readonly looking?: Looking | undefined }
}

export interface Openness {
  /** The hosts that show it to strangers. */
  readonly through: readonly string[]
  /** Could it not be found out which domains are bound to the bucket? */
  readonly isPartial: boolean
}

/**
 * Through which hosts a stranger can read an object: the bucket's own, those of the domains that are bound to it, and
 * those that CDN fetches from it for. The object is a harmless one that lies beside the key.
 */
export const openTo = async (key: string, options: OpenOptions, signal: AbortSignal): Promise<Openness> => {
  const { own, context, domains } = options
  const look = await domains.list(signal).catch(() => undefined)
  const bound = look?.status === 'found' ? look.value.map(({ domain }) => domain) : []
  const hosts = [...bound, ...(await openedHosts(options, signal))]
  const asked = [own, ...hosts.map((host) => ({ origin: new URL(`https://${host}`) }))]
  const distinct = [...new Map(asked.map((one) => [one.origin.host, one])).values()]
  const path = `/${key.split('/').map(encodeURIComponent).join('/')}`
  const looks = await Promise.all(
    distinct.map((one) => lookAnonymously(one, path, context.looking?.connect ?? [], signal)),
  )
  // A site that shows its start page for whatever is asked gives nothing away.
  const through = distinct.flatMap(({ origin: { host } }, i) =>
    looks[i]?.status === 200 && /^---\narchive: /.test(looks[i]?.body ?? '') ? [host] : [],
  )
  return { through, isPartial: look?.status !== 'found' }
}

/** Those that other targets of the deployment serve the bucket under. */
const openedHosts = async ({ bucket, others }: OpenOptions, signal: AbortSignal): Promise<string[]> => {
  const opened = await Promise.all(
    others.map(async (other) => ((await other.opens?.(bucket, signal).catch(() => false)) ? other.serves : [])),
  )
  return opened.flat().filter((host) => !host.startsWith('*'))
}
