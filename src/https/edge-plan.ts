import type { EdgeProduct } from '../aliyun/edge-domains.js'
import { CertError } from '../errors.js'
import {
  type Arguments,
  argumentsIn,
  type EdgeFunctionName,
  factsOf,
  httpsPart,
  isOn,
  maxAgeIn,
  rulesIn,
  textOfArguments,
  tlsArguments,
} from './edge-parts.js'
import type { HttpsAim, HttpsParts, HttpsState } from './https-place.js'
import { firstMaxAge, type HstsWish, type HttpsWish } from './https-wish.js'

/** What becomes of one part. */
export type EdgeMove =
  | {
      readonly kind: 'function'
      readonly part: EdgeFunctionName
      readonly does: string
      /** Undefined deletes it. */
      readonly args: Arguments | undefined
      /** Where the product refuses the other. */
      readonly otherwise?: Arguments | undefined
    }
  | { readonly kind: 'switch off'; readonly does: string }
  | {
      readonly kind: 'bind'
      readonly does: string
      readonly id: string
      readonly region: string
      readonly name: string
      readonly after: string
    }

export interface EdgePlan {
  /** In their order: each needs those before it. */
  readonly moves: readonly EdgeMove[]
  readonly warnings: readonly string[]
}

export interface PlannedDomain {
  readonly product: EdgeProduct
  readonly domain: string
}

/** Nothing of it is done yet; a move that changes nothing is none. @throws CertError */
export const planEdge = (where: PlannedDomain, aim: HttpsAim, state: HttpsState): EdgePlan => {
  const { moves, warnings } = planFor(where, aim, state)
  return { moves: moves.filter((move) => !isDone(move, state.parts)), warnings }
}

const planFor = (where: PlannedDomain, aim: HttpsAim, state: HttpsState): EdgePlan => {
  if (aim.verb === 'enforce') return enforced(where, aim.wish, state)
  if (aim.verb === 'relax') return relaxed(where, state)
  if (aim.verb === 'disable') return disabled(where, state)
  return restored(where, aim.parts, state)
}

const isDone = (move: EdgeMove, parts: HttpsParts): boolean =>
  move.kind === 'function' && textOfArguments(move.args) === parts[move.part]

/** What stands there; what could not be read is in the way of what needs it. @throws CertError */
const standing = ({ parts, unread }: HttpsState, part: EdgeFunctionName | typeof httpsPart): Arguments | undefined => {
  const why = unread[part]
  if (why !== undefined) throw why
  return argumentsIn(parts[part])
}

const nameOf = ({ product, domain }: PlannedDomain): string => `${product.toUpperCase()} domain ${domain}`

// --- enforce ---

const enforced = (where: PlannedDomain, wish: HttpsWish, state: HttpsState): EdgePlan => {
  const hsts = wish.hsts && hstsOf(wish.hsts, standing(state, 'HSTS'))
  if (!isOn(standing(state, httpsPart)?.['https'])) throw isOff(where, 'before it can be enforced')
  const rules = rulesIn(state.parts)
  if (rules.includes('http_force')) throw inTheWay(where)
  const tls = Object.fromEntries(
    Object.entries(tlsArguments).map(([version, name]) => [
      name,
      wish.tls.some((one) => one === version) ? 'on' : 'off',
    ]),
  )
  const changed = (part: EdgeFunctionName, args: Arguments): Arguments => ({ ...standing(state, part), ...args })
  const moves: EdgeMove[] = [
    ...deleted(state, 'http_force', 'delete http_force: while it is there, on or off, nothing redirects to HTTPS'),
    set('https_tls_version', `speak TLS ${wish.tls.join(', ')}`, changed('https_tls_version', tls)),
    ...(wish.http2 ? [set('https_option', 'switch HTTP/2 on', changed('https_option', { http2: 'on' }))] : []),
    ...(wish.gzip ? [set('gzip', 'switch gzip on', changed('gzip', { enable: 'on' }))] : []),
    ...(wish.brotli ? [set('brotli', 'switch Brotli on', changed('brotli', { enable: 'on' }))] : []),
    set(
      'https_force',
      `redirect plain HTTP to HTTPS with ${wish.redirect}`,
      changed('https_force', { enable: 'on', https_rewrite: String(wish.redirect) }),
    ),
    // Last: who has seen it cannot go back.
    ...(hsts === undefined ? [] : [set('HSTS', hstsSentence(hsts), hsts)]),
  ]
  return { moves, warnings: rules.length === 0 ? [] : [keptRules(where, rules)] }
}

const set = (part: EdgeFunctionName, does: string, args: Arguments): EdgeMove => ({
  kind: 'function',
  part,
  does,
  args,
})

const deleted = (state: HttpsState, part: EdgeFunctionName, does: string): EdgeMove[] =>
  standing(state, part) === undefined ? [] : [{ kind: 'function', part, does, args: undefined }]

// What the list that browsers are shipped with asks for.
const leastForPreload = 31_536_000

/** @throws CertError USAGE */
const hstsOf = (wish: HstsWish, before: Arguments | undefined): Arguments => {
  const holds = isOn(before?.['enabled'])
  const stood = holds ? maxAgeIn(before) : 0
  const maxAge = wish.maxAge ?? Math.max(firstMaxAge, stood)
  const subdomains = wish.includeSubdomains || (holds && isOn(before?.['https_hsts_include_subdomains']))
  if (wish.preload && (maxAge < leastForPreload || !subdomains)) {
    throw new CertError('USAGE', 'HSTS preload takes a max-age of a year at least, and subdomains as well', {
      hint: `give --hsts-max-age ${leastForPreload} or more and include subdomains, or leave preload out`,
    })
  }
  return {
    ...before,
    enabled: 'on',
    https_hsts_max_age: String(maxAge),
    https_hsts_include_subdomains: subdomains ? 'on' : 'off',
    // It is in no document, and so is not sent where nobody asks for it.
    ...(wish.preload ? { https_hsts_preload: 'on' } : {}),
    // One that was switched off with the rest does not come back by itself.
    ...(!wish.preload && !holds && before?.['https_hsts_preload'] !== undefined && { https_hsts_preload: 'off' }),
  }
}

const hstsSentence = (args: Arguments): string => {
  const more = [
    ...(isOn(args['https_hsts_include_subdomains']) ? ['with all subdomains'] : []),
    ...(isOn(args['https_hsts_preload']) ? ['with preload'] : []),
  ]
  const seconds = maxAgeIn(args)
  return [`hold browsers to HTTPS for ${spanOf(seconds)} (HSTS max-age=${seconds})`, ...more].join(', ')
}

const isOff = ({ product, domain }: PlannedDomain, when: string): CertError =>
  new CertError('NOT_SERVED', `HTTPS is off for the ${nameOf({ product, domain })}, and has to be on ${when}`, {
    hint: `deploy a certificate first: acme-oss deploy --fullchain FILE --key FILE --${product}-domain ${domain}`,
  })

const inTheWay = (where: PlannedDomain): CertError =>
  new CertError('CLOUD_REFUSED', `http_force stands under a rule of the ${nameOf(where)}`, {
    hint: 'while it is there, on or off, nothing redirects to HTTPS: delete it in the console; what stands under rules is left alone here',
  })

const keptRules = (where: PlannedDomain, rules: readonly string[]): string =>
  `what the ${nameOf(where)} has under rules is left as it is: ${[...new Set(rules)].join(', ')}`

// --- relax, disable ---

const answeredAgain = (state: HttpsState): EdgeMove[] =>
  isOn(standing(state, 'https_force')?.['enable'])
    ? deleted(state, 'https_force', 'delete https_force: plain HTTP is answered again')
    : []

const relaxed = (where: PlannedDomain, state: HttpsState): EdgePlan => {
  const hsts = standing(state, 'HSTS')
  const holds = isOn(hsts?.['enabled'])
  const preload = hsts?.['https_hsts_preload'] !== undefined ? { https_hsts_preload: 'off' } : {}
  const forget: EdgeMove = {
    kind: 'function',
    part: 'HSTS',
    does: 'have browsers that still come by HTTPS forget HSTS (max-age=0)',
    args: { ...hsts, ...preload, https_hsts_max_age: '0' },
    otherwise: { ...hsts, enabled: 'off' },
  }
  const moves = [...answeredAgain(state), ...(holds ? [forget] : [])]
  const rest = 'one that gets an answer by HTTPS once more forgets it'
  return { moves, warnings: [...remembered(where, state, rest), ...stillRedirected(where, state)] }
}

const disabled = (where: PlannedDomain, state: HttpsState): EdgePlan => {
  const { product, domain } = where
  const hsts = standing(state, 'HSTS')
  const isServed = isOn(standing(state, httpsPart)?.['https'])
  const rest = `they cannot reach it at all without HTTPS: acme-oss https relax first, and disable when that time is over`
  return {
    moves: [
      ...answeredAgain(state),
      ...(isOn(hsts?.['enabled']) ? [set('HSTS', 'switch HSTS off', { ...hsts, enabled: 'off' })] : []),
      ...(isServed ? [{ kind: 'switch off', does: 'switch HTTPS off' } as const] : []),
    ],
    warnings: [
      ...remembered(where, state, rest),
      ...stillRedirected(where, state),
      ...(isServed
        ? [
            `${product.toUpperCase()} keeps neither the certificate nor the key of ${domain} once HTTPS is off: it takes a deployment to switch it on again`,
            `the next deployment or renewal for ${domain} switches HTTPS on again, unless acme-oss forget is told of it`,
          ]
        : []),
    ],
  }
}

const remembered = ({ domain }: PlannedDomain, { parts }: HttpsState, rest: string): string[] => {
  const { hsts } = factsOf(parts)
  if (hsts === null || hsts.maxAge === 0) return []
  const names = hsts.includeSubdomains ? `${domain} and all names below it` : domain
  const lists = hsts.preload ? '; browsers that have it on the preload list they are shipped with do so for good' : ''
  return [
    `browsers hold ${names} to HTTPS for up to ${spanOf(hsts.maxAge)} after their last visit (HSTS max-age=${hsts.maxAge}): ${rest}${lists}`,
  ]
}

const stillRedirected = (where: PlannedDomain, { parts }: HttpsState): string[] =>
  rulesIn(parts).includes('https_force')
    ? [
        `https_force stands under a rule of the ${nameOf(where)} as well, and may redirect some: delete it in the console`,
      ]
    : []

// --- restore ---

// Both redirects are in each other's way: what is to go goes before what is to come.
const calm = ['https_tls_version', 'https_option', 'gzip', 'brotli'] as const
const redirects = ['http_force', 'https_force'] as const

const restored = (where: PlannedDomain, saved: HttpsParts, state: HttpsState): EdgePlan => {
  const back = (part: EdgeFunctionName): EdgeMove[] => {
    if (saved[part] === undefined) return []
    const args = argumentsIn(saved[part])
    const stands = standing(state, part) !== undefined
    const does = args !== undefined ? `put ${part} back` : `delete ${part}, which was not there`
    return args === undefined && !stands ? [] : [{ kind: 'function', part, does, args }]
  }
  const https = httpsAgain(where, saved, state)
  return {
    moves: [
      ...https.moves,
      ...calm.flatMap(back),
      ...redirects.filter((part) => saved[part] === null).flatMap(back),
      ...redirects.filter((part) => saved[part] !== null).flatMap(back),
      ...back('HSTS'),
    ],
    warnings: https.warnings,
  }
}

/** A newer certificate stays, and so does an HTTPS that was switched on since: nothing that is done here does that. */
const httpsAgain = (where: PlannedDomain, saved: HttpsParts, state: HttpsState): EdgePlan => {
  const text = saved[httpsPart]
  const before = argumentsIn(text)
  if (text === null || text === undefined || before === undefined) return { moves: [], warnings: [] }
  const wasOn = isOn(before['https'])
  const on = isOn(standing(state, httpsPart)?.['https'])
  if (wasOn === on) return { moves: [], warnings: [] }
  if (on) {
    const warning = `HTTPS of the ${nameOf(where)} was off then and has been switched on since: it is left on, and acme-oss https disable switches it off`
    return { moves: [], warnings: [warning] }
  }
  const { id, region, name } = before
  if (id !== undefined && region !== undefined) {
    const does = `bind the certificate ${name ?? id} of the certificate service, which switches HTTPS on`
    return { moves: [{ kind: 'bind', does, id, region, name: name ?? id, after: text }], warnings: [] }
  }
  // CDN gave no key back; and a redirect to where nobody answers is worse than none.
  throw isOff(where, 'before what stood there can be put back')
}

const units = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
] as const

/** In the largest unit that leaves no rest. */
const spanOf = (seconds: number): string => {
  const [name, length] = units.find(([, length]) => seconds >= length && seconds % length === 0) ?? ['second', 1]
  const count = seconds / length
  return `${count} ${name}${count === 1 ? '' : 's'}`
}
