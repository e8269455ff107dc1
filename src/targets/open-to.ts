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

/**
 * Through which hosts a stranger can read an object: the bucket's own, those of the domains that are bound to it, and
 * those that CDN fetches from it for. The object is a harmless one that lies beside the key.
 */
export const openTo = async (key: string, options: OpenOptions, signal: AbortSignal): Promise<string[]> => {
  const { own, context } = options
  const hosts = await boundHosts(options, signal)
  const connect = context.looking?.connect ?? []
  // What --connect says is about hosts that are served, not about the bucket's own door.
  const asked = [{ ...own, connect: [] }, ...hosts.map((host) => ({ origin: new URL(`https://${host}`), connect }))]
  const distinct = [...new Map(asked.map((one) => [one.origin.host, one])).values()]
  const path = `/${key.split('/').map(encodeURIComponent).join('/')}`
  const looks = await Promise.all(distinct.map((one) => lookAnonymously(one, path, one.connect, signal)))
  // A site that shows its start page for whatever is asked gives nothing away.
  return distinct.flatMap(({ origin: { host } }, i) =>
    looks[i]?.status === 200 && /^---\narchive: /.test(looks[i]?.body ?? '') ? [host] : [],
  )
}

const boundHosts = async ({ bucket, domains, others }: OpenOptions, signal: AbortSignal): Promise<string[]> => {
  const look = await domains.list(signal).catch(() => undefined)
  const bound = look?.status === 'found' ? look.value.map(({ domain }) => domain) : []
  const opened = await Promise.all(
    others.map(async (other) => (await other.opens?.(bucket, signal).catch(() => undefined)) ?? []),
  )
  return [...bound, ...opened.flat()]
}
