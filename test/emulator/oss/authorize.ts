import type { AccessKey } from '../access-key.js'
import { accountId } from '../account.js'
import { decide, type Verdict } from '../permissions.js'
import { element } from '../xml.js'
import type { Bucket } from './bucket.js'
import { isDenied, isOpen } from './bucket-policy.js'
import { accessDenied, type OssRefusal } from './refusal.js'

/** What is asked for. */
export interface Access {
  readonly action: string
  readonly bucket: Bucket
  /** Empty for calls on the bucket. */
  readonly key: string
  /** The object or the bucket unless told. */
  readonly resource?: string | undefined
}

const resourceOf = ({ bucket, key, resource }: Access): string =>
  resource ?? (key === '' ? bucket.name : `${bucket.name}/${key}`)

/** An object's own ACL comes first; only `default` looks at the bucket. Listing is never public. */
const publiclyReadable = ({ action, bucket, key }: Access): boolean => {
  if (action !== 'oss:GetObject' || bucket.blockPublicAccess) return false
  const acl = bucket.objects.get(key)?.acl ?? 'default'
  return acl === 'default' ? bucket.acl !== 'private' || isOpen(bucket) : acl !== 'private'
}

const ecOf = (action: string, verdict: Verdict): string => {
  if (action === 'oss:PutObjectAcl') return '0003-00000008'
  if (action === 'oss:PutObjectTagging') return '0003-00000905'
  return verdict === 'explicit-deny' ? '0003-00000201' : '0003-00000001'
}

const messageOf = (action: string, verdict: Verdict): string => {
  if (verdict === 'explicit-deny') return 'Access denied by bucket policy.'
  if (action === 'oss:PutObjectAcl') return 'You do not have write acl permission on this object.'
  return 'You have no right to access this object because of bucket acl.'
}

/** The refusal of a RAM user, with the details by which a tool can say which permission is missing. */
export const deniedByRam = (key: AccessKey, action: string, verdict: Verdict): OssRefusal =>
  accessDenied(messageOf(action, verdict), ecOf(action, verdict), [
    element('AccessDeniedDetail', [
      element('PolicyType', 'AccountLevelIdentityBasedPolicy'),
      element('AuthPrincipalOwnerId', accountId),
      element('AuthPrincipalType', key.token === undefined ? 'SubUser' : 'AssumedRoleUser'),
      element('AuthPrincipalDisplayName', key.id),
      element('NoPermissionType', verdict === 'explicit-deny' ? 'ExplicitDeny' : 'ImplicitDeny'),
      element('AuthAction', action),
    ]),
  ])

/** What a policy of the bucket denies everybody counts for more than every grant. */
export const obeyPolicy = ({ action, bucket, ...asked }: Access, plain: boolean): void => {
  const resource = resourceOf({ action, bucket, ...asked })
  if ((plain && bucket.denyPlainHttp) || isDenied(bucket.policy, { action, resource, secure: !plain }))
    throw accessDenied('Access denied by bucket policy.', '0003-00000201')
}

/** Throws unless the sender may. What is public needs no Allow, but a Deny still counts. */
export const authorize = (sender: AccessKey | undefined, access: Access): void => {
  const open = publiclyReadable(access)
  if (sender === undefined) {
    if (open) return
    throw accessDenied('You have no right to access this object because of bucket acl.', '0003-00000001')
  }
  const verdict = decide(sender, access.action, resourceOf(access))
  if (verdict === 'allowed' || (verdict === 'implicit-deny' && open)) return
  throw deniedByRam(sender, access.action, verdict)
}
