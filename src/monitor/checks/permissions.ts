import { createHash } from 'node:crypto'
import type { EdgeProduct } from '../../aliyun/edge-domains.js'
import { edgeActions } from '../../aliyun/edge-domains.js'
import { certificateService } from '../../aliyun/products.js'
import type { ExplainedStatement } from '../../aliyun/ram-policy.js'
import { CertError, toCertError } from '../../errors.js'
import { type BucketPlace, bucketsOf, clientOf } from '../bucket-place.js'
import { type Check, failed, type Outcome, ok, unknown, warning } from '../check.js'
import { isElsewhere, isRefusal } from '../refused.js'
import { edgesOf, firstSaid, type Situation } from '../situation.js'

/** Whether a right is there, as far as it can be told without changing anything. */
export type Granted =
  | 'granted'
  /** What was bound to fail for another reason failed for that one, which is looked at later, as it seems. */
  | 'likely'
  | 'refused'
  | { readonly untold: string }

interface Right {
  readonly action: string
  /** As RAM spells it, without `acs:oss:*:*:`. */
  readonly resource: string
}

type Try = (right: Right, situation: Situation, signal: AbortSignal) => Promise<Granted>

/** One line for each right that can be tried, and one for each action that cannot. */
export const permissionChecks = (situation: Situation): readonly Check[] =>
  situation.permissions.flatMap((statement) =>
    statement.actions.flatMap((action) => {
      if (triedByZone.includes(action)) return []
      const resources = statement.resources.map((resource) => resource.replace(/^acs:[^:]*:[^:]*:[^:]*:/, ''))
      const attempt = tries[action]
      const asked = attempt === undefined ? [resources.join(', ')] : resources
      return asked.map((resource): Check => {
        const label = `${action} on ${attempt === undefined ? shortened(resources) : resource}`
        return {
          id: `permission ${action} ${resource}`,
          about: 'permissions',
          what: label,
          ...(attempt !== undefined && { reaches: true }),
          run: async (signal) =>
            permissionOutcome(
              label,
              statement,
              await (attempt?.({ action, resource }, situation, signal) ?? onlyByWriting),
            ),
        }
      })
    }),
  )

// A policy names all zones that there could be, of which there is mostly one.
const triedByZone = ['alidns:DescribeDomainRecords']

const onlyByWriting: Granted = { untold: 'only writing would tell' }

const shortened = ([first = '', ...others]: readonly string[]): string =>
  others.length === 0 ? first : `${first} and ${others.length} more`

export const permissionOutcome = (
  label: string,
  { needed, why }: Pick<ExplainedStatement, 'needed' | 'why'>,
  granted: Granted,
): Outcome => {
  if (granted === 'granted') return ok(`${label}: granted`)
  if (granted === 'likely') return ok(`${label}: likely granted (a damaged put was refused for its damage)`)
  if (typeof granted === 'object') return unknown(`${label}: not tried (${granted.untold})`)
  return needed
    ? failed(`${label}: refused, and needed: it ${why}`, 'grant it: acme-oss policy prints the statement')
    : warning(`${label}: refused, and recommended: it ${why}`, 'grant it: acme-oss policy prints the statement')
}

/** What an answer, or the lack of one, says of a right. */
const told = async (
  ask: () => Promise<unknown>,
  isGranted: (code: string) => boolean = () => false,
): Promise<Granted> => {
  try {
    await ask()
    return 'granted'
  } catch (error) {
    if (error instanceof CertError && isGranted(error.vendor?.code ?? '')) return 'granted'
    if (isRefusal(error) && !isElsewhere(error)) return 'refused'
    return { untold: toCertError(error).message }
  }
}

const nowhere: Granted = { untold: 'nothing here says how it is reached' }

const bucketOf = ({ resource }: Right): string => resource.split('/')[0] ?? ''
const keyBelow = ({ resource }: Right, name: string): string =>
  `${resource.slice(bucketOf({ action: '', resource }).length + 1).replace(/\*$/, '')}${name}`

const inBucket =
  (ask: (place: BucketPlace, right: Right, situation: Situation, signal: AbortSignal) => Promise<Granted>): Try =>
  async (right, situation, signal) => {
    const place = bucketsOf(situation).find(({ bucket }) => bucket === bucketOf(right))
    return place === undefined ? nowhere : await ask(place, right, situation, signal)
  }

const readBucket = (subresource: string): Try =>
  inBucket((place, { action }, { context }, signal) => {
    const client = clientOf(place, context)
    const attempted = client.attempt('looking at', action)
    return told(() => client.call({ method: 'GET', query: { [subresource]: null }, attempted }, signal))
  })

const readObject: Try = inBucket((place, right, { context }, signal) => {
  const client = clientOf(place, context)
  const key = keyBelow(right, 'latest/README.md')
  const attempted = client.attempt('looking for', right.action, key)
  return told(
    () => client.call({ method: 'HEAD', key, attempted }, signal),
    // What is not there is told to those alone who may read.
    (code) => code === 'NoSuchKey',
  )
})

const damaged = 'acme-oss-doctor'
// Of something else.
const wrongSum = createHash('md5').update('').digest('base64')

/**
 * A put that cannot succeed: its body is not what its MD5 says. Whoever may not put is refused before that is looked at,
 * as far as is known; the order of OSS's checks is not documented.
 */
const putDamaged = (acl: boolean): Try =>
  inBucket(async (place, right, { context }, signal) => {
    const client = clientOf(place, context)
    const key = keyBelow(right, damaged)
    const attempted = client.attempt('trying whether one may put', right.action, key)
    const put = (headers: Readonly<Record<string, string>>) =>
      client.call(
        {
          method: 'PUT',
          key,
          headers: { 'content-md5': wrongSum, 'x-oss-forbid-overwrite': 'true', ...headers },
          body: Buffer.from('damaged'),
          attempted,
        },
        signal,
      )
    const plain = await damagedTold(() => put({}), place, key)
    if (!acl || plain !== 'likely') return acl && plain === 'refused' ? { untold: 'oss:PutObject is refused' } : plain
    return await damagedTold(() => put({ 'x-oss-object-acl': 'private' }), place, key)
  })

const damagedTold = async (put: () => Promise<unknown>, { bucket }: BucketPlace, key: string): Promise<Granted> => {
  try {
    await put()
    return { untold: `${bucket}/${key} was taken although it is damaged: delete it` }
  } catch (error) {
    if (error instanceof CertError && error.vendor?.code === 'InvalidDigest') return 'likely'
    if (isRefusal(error) && !isElsewhere(error)) return 'refused'
    return { untold: toCertError(error).message }
  }
}

const inProduct =
  (product: EdgeProduct, what: 'look' | 'origin'): Try =>
  async ({ resource }, situation, signal) => {
    const { domains } = edgesOf(situation, product)
    const wanted = resource.replace(/^domain\//, '')
    try {
      // For a right on all of them, any will do.
      const domain = wanted === '*' ? (await domains.listIfPermitted(signal))?.[0]?.domain : wanted
      if (domain === undefined) return { untold: 'there is no domain to look at' }
      const found = what === 'look' ? await domains.certificate(domain, signal) : await domains.origins(domain, signal)
      return found === undefined ? 'refused' : 'granted'
    } catch (error) {
      return { untold: toCertError(error).message }
    }
  }

const listProduct =
  (product: EdgeProduct): Try =>
  (_right, situation, signal) =>
    told(() => edgesOf(situation, product).domains.list(signal))

const firstUploaded = async (situation: Situation, signal: AbortSignal): Promise<string | undefined> => {
  for await (const { id } of serviceOf(situation).list('valid', signal)) return id
  return undefined
}

const serviceOf = (situation: Situation) =>
  certificateService(firstSaid(situation, 'cas-endpoint'), situation.context).service

const listUploaded: Try = (_right, situation, signal) => told(() => firstUploaded(situation, signal))

const lookUpUploaded: Try = async (_right, situation, signal) => {
  const id = await firstUploaded(situation, signal).catch(() => undefined)
  if (id === undefined) return { untold: 'there is no certificate to look up' }
  return await told(() => serviceOf(situation).requireLook(id, signal))
}

const [cdn, dcdn] = [edgeActions('cdn'), edgeActions('dcdn')]

/** By action. Those that are missing can be told by writing alone; reading AliDNS is tried with its zones. */
const tries: Readonly<Record<string, Try>> = {
  'oss:PutObject': putDamaged(false),
  'oss:PutObjectAcl': putDamaged(true),
  'oss:GetObject': readObject,
  'oss:GetBucketAcl': readBucket('acl'),
  'oss:GetBucketPolicyStatus': readBucket('policyStatus'),
  'oss:ListCname': readBucket('cname'),
  [cdn.look]: inProduct('cdn', 'look'),
  [cdn.origin]: inProduct('cdn', 'origin'),
  [cdn.list]: listProduct('cdn'),
  [dcdn.look]: inProduct('dcdn', 'look'),
  [dcdn.origin]: inProduct('dcdn', 'origin'),
  [dcdn.list]: listProduct('dcdn'),
  'yundun-cert:ListUserCertificateOrder': listUploaded,
  'yundun-cert:GetUserCertificateDetail': lookUpUploaded,
}
