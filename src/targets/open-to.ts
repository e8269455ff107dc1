import { setTimeout as sleep } from 'node:timers/promises'
import type { BoundDomains } from '../aliyun/bound-domains.js'
import { interrupted } from '../patience.js'
import { type AnonymousLook, type Asked, lookAnonymously } from '../proof/anonymous-look.js'
import type { ConnectTo } from '../proof/connect-to.js'
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
  /** The hosts through which a stranger can read it. */
  readonly open: readonly string[]
  /** Those that this run has served, and that did not answer. */
  readonly silent: readonly string[]
  /** Could it not be found out which domains are bound to the bucket? */
  readonly isPartial: boolean
}

/**
 * Through which hosts a stranger can read an object: the bucket's own, those of the domains that are bound to it, and
 * those that CDN fetches from it for. The object is a harmless one that lies beside the key.
 */
export const openTo = async (key: string, options: OpenOptions, signal: AbortSignal): Promise<Openness> => {
  const { own, context } = options
  const { bound, opened, isPartial } = await hostsOf(options, signal)
  const connect = context.looking?.connect ?? []
  // What --connect says is about hosts that are served, not about the bucket's own door.
  const doors: readonly Door[] = [
    { ...own, connect: [], isAwaited: false },
    ...[...new Set([...opened, ...bound])].map((host) => ({
      origin: new URL(`https://${host}`),
      connect,
      isAwaited: opened.includes(host),
    })),
  ]
  const path = `/${key.split('/').map(encodeURIComponent).join('/')}`
  const end = performance.now() + (context.looking?.limit ?? 0)
  const looks = await Promise.all(doors.map((door) => lookThrough(door, path, end, signal)))
  const among = (isMeant: (look: AnonymousLook | undefined, door: Door) => boolean) =>
    doors.flatMap((door, i) => (isMeant(looks[i], door) ? [door.origin.host] : []))
  return {
    // A site that shows its start page for whatever is asked gives nothing away.
    open: among((look) => look?.status === 200 && /^---\narchive: /.test(look.body)),
    silent: among((look, { isAwaited }) => look === undefined && isAwaited),
    isPartial,
  }
}

interface Door extends Asked {
  readonly connect: readonly ConnectTo[]
  /** This run binds it, so it may not be there yet: one that is closed for now proves nothing. */
  readonly isAwaited: boolean
}

// In ms.
const pause = 1000

const lookThrough = async (
  door: Door,
  path: string,
  end: number,
  signal: AbortSignal,
): Promise<AnonymousLook | undefined> => {
  for (;;) {
    const look = await lookAnonymously(door, path, door.connect, signal)
    if (look !== undefined || !door.isAwaited || performance.now() + pause > end) return look
    await sleep(pause, undefined, { signal }).catch(() => {
      throw interrupted()
    })
  }
}

const hostsOf = async ({ bucket, domains, others }: OpenOptions, signal: AbortSignal) => {
  const look = await domains.list(signal).catch(() => undefined)
  const opened = await Promise.all(
    others.map(async (other) => (await other.opens?.(bucket, signal).catch(() => undefined)) ?? []),
  )
  const bound = look?.status === 'found' ? look.value.map(({ domain }) => domain) : []
  return { bound, opened: opened.flat(), isPartial: look?.status !== 'found' }
}
