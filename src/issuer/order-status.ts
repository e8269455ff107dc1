import { setTimeout as sleep } from 'node:timers/promises'
import { CertError } from '../errors.js'
import { interrupted } from '../patience.js'
import type { AcmeSession } from './acme-session.js'
import type { Order } from './protocol.js'

// The first look is at once; most CAs have decided by then. In ms.
const firstPause = 50
const longestPause = 5000

/**
 * Looks at the order until it has left `status`: at once, then after growing pauses, or when the CA says.
 * @param patience how long that may take, in ms
 * @throws CertError CA_UNAVAILABLE: longer than that; INTERRUPTED
 */
export const settle = async (
  session: AcmeSession,
  first: Order,
  status: 'pending' | 'processing',
  patience: number,
  signal: AbortSignal,
): Promise<Order> => {
  const deadline = performance.now() + patience
  let order = first
  for (
    let pause = firstPause;
    order.status === status || (status === 'processing' && order.status === 'ready');
    pause = Math.min(pause * 2, longestPause)
  ) {
    // A CA that asks for no pause at all is not to be hammered.
    const wait = Math.max(order.retryAfter ?? 0, pause)
    if (performance.now() + wait > deadline) throw tooLong(order, status, wait > pause ? wait : undefined, patience)
    await sleep(wait, undefined, { signal }).catch(() => {
      throw interrupted()
    })
    order = await session.getOrder(order.url)
  }
  return order
}

const tooLong = (order: Order, status: string, asked: number | undefined, patience: number): CertError =>
  new CertError(
    'CA_UNAVAILABLE',
    asked === undefined
      ? `the order is still ${status} after ${inWords(patience)}`
      : `the CA asks to wait for another ${inWords(asked)}`,
    {
      passing: true,
      retryAfter: order.retryAfter,
      hint: 'the order is kept, and the next run looks what became of it; a second --ca is asked at once, and --ca-timeout says how long one may take',
    },
  )

const inWords = (ms: number): string =>
  ms < 120_000 ? `${Math.ceil(ms / 1000)} seconds` : `${Math.ceil(ms / 60_000)} minutes`

/** Why there is no certificate, as far as the order says. */
export const notIssued = ({ status, problem }: Order): CertError =>
  new CertError(
    'CA_REFUSED',
    `the CA ended the order as ${status}${problem === undefined ? '' : `: ${problem.type} (${problem.detail})`}`,
    {
      hint: 'nothing was issued; run the command again for a new order',
      vendor: { code: problem?.type ?? status },
    },
  )
