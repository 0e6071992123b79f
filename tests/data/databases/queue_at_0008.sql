BEGIN TRANSACTION;
CREATE TABLE "attempt" (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    dispatch INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    duration_ms REAL NOT NULL,
    status INTEGER,
    outcome TEXT NOT NULL,
    error TEXT,
    answer BLOB NOT NULL
) STRICT;
INSERT INTO "attempt" VALUES(1,1,1,1772452800000000,12.5,200,'acknowledged',NULL,X'636F6D6520616761696E');
INSERT INTO "attempt" VALUES(2,2,1,1772452800000000,12.5,503,'failed',NULL,X'636F6D6520616761696E');
INSERT INTO "attempt" VALUES(3,3,1,1772452800000000,12.5,503,'failed',NULL,X'636F6D6520616761696E');
INSERT INTO "attempt" VALUES(4,4,1,1772452800000000,12.5,503,'failed',NULL,X'636F6D6520616761696E');
INSERT INTO "attempt" VALUES(5,7,1,1772452800000000,12.5,503,'failed',NULL,X'636F6D6520616761696E');
CREATE TABLE bodies_kept_after (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    report INTEGER NOT NULL
) STRICT;
INSERT INTO "bodies_kept_after" VALUES(1,0);
CREATE TABLE common_time (
    boot TEXT NOT NULL,
    speed REAL NOT NULL,
    elapsed INTEGER NOT NULL,
    instant INTEGER NOT NULL
) STRICT;
CREATE TABLE dispatch (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL,
    url TEXT NOT NULL,
    content_type TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('waiting', 'leased', 'acknowledged', 'exhausted', 'cancelled')),
    attempts INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER,
    lease TEXT,
    lease_until INTEGER,
    first_report INTEGER NOT NULL,
    last_report INTEGER NOT NULL,
    reports INTEGER NOT NULL
, replay INTEGER, authorization TEXT) STRICT;
INSERT INTO "dispatch" VALUES(1,'acme','http://acme.example/','application/json','acknowledged',1,1772452800000000,NULL,NULL,NULL,1,1,1,NULL,NULL);
INSERT INTO "dispatch" VALUES(2,'acme','http://acme.example/','application/json','exhausted',1,1772452800000000,NULL,NULL,NULL,2,2,1,NULL,NULL);
INSERT INTO "dispatch" VALUES(3,'acme','http://acme.example/','application/json','cancelled',1,1772452800000000,NULL,NULL,NULL,3,3,1,NULL,NULL);
INSERT INTO "dispatch" VALUES(4,'acme','http://acme.example/','application/json','waiting',1,1772452800000000,1772452860000000,NULL,NULL,4,4,1,NULL,NULL);
INSERT INTO "dispatch" VALUES(5,'beta','http://beta.example/','application/json','leased',0,1772452800000000,1772452800000000,'t',1772452860000000,1,2,2,NULL,NULL);
INSERT INTO "dispatch" VALUES(6,'beta','http://beta.example/','application/json','leased',0,1772452800000000,1772452800000000,'t',1772452860000000,3,3,1,NULL,NULL);
INSERT INTO "dispatch" VALUES(7,'acme','http://acme.example/','application/json','waiting',1,1772452800000000,1772452860000000,NULL,NULL,1,2,2,1,NULL);
INSERT INTO "dispatch" VALUES(8,'acme','http://acme.example/','application/json','leased',0,1772452800000000,1772452800000000,'u',1772452800000000,5,5,1,1,NULL);
INSERT INTO "dispatch" VALUES(9,'acme','http://acme.example/','application/json','leased',0,1772452800000000,1772452800000000,'u',1772452800000000,3,3,1,2,NULL);
INSERT INTO "dispatch" VALUES(10,'acme','http://acme.example/','application/json','waiting',0,1772452800000000,1772452800000000,NULL,NULL,6,6,1,2,NULL);
CREATE TABLE dispatch_body (
    dispatch INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;
INSERT INTO "dispatch_body" VALUES(1,X'7B7D');
INSERT INTO "dispatch_body" VALUES(2,X'7B7D');
INSERT INTO "dispatch_body" VALUES(3,X'7B7D');
INSERT INTO "dispatch_body" VALUES(4,X'7B7D');
INSERT INTO "dispatch_body" VALUES(5,X'7B7D');
INSERT INTO "dispatch_body" VALUES(6,X'7B7D');
INSERT INTO "dispatch_body" VALUES(7,X'7B7D');
INSERT INTO "dispatch_body" VALUES(8,X'7B7D');
INSERT INTO "dispatch_body" VALUES(9,X'7B7D');
INSERT INTO "dispatch_body" VALUES(10,X'7B7D');
CREATE TABLE dispatch_count (
    endpoint TEXT NOT NULL,
    state TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (endpoint, state)
) STRICT, WITHOUT ROWID;
INSERT INTO "dispatch_count" VALUES('acme','acknowledged',1);
INSERT INTO "dispatch_count" VALUES('acme','cancelled',1);
INSERT INTO "dispatch_count" VALUES('acme','exhausted',1);
INSERT INTO "dispatch_count" VALUES('acme','leased',2);
INSERT INTO "dispatch_count" VALUES('acme','waiting',3);
INSERT INTO "dispatch_count" VALUES('beta','leased',2);
CREATE TABLE dispatch_report (
    report INTEGER NOT NULL,
    dispatch INTEGER NOT NULL,
    PRIMARY KEY (report, dispatch)
) STRICT, WITHOUT ROWID;
INSERT INTO "dispatch_report" VALUES(1,1);
INSERT INTO "dispatch_report" VALUES(1,5);
INSERT INTO "dispatch_report" VALUES(1,7);
INSERT INTO "dispatch_report" VALUES(2,2);
INSERT INTO "dispatch_report" VALUES(2,5);
INSERT INTO "dispatch_report" VALUES(2,7);
INSERT INTO "dispatch_report" VALUES(3,3);
INSERT INTO "dispatch_report" VALUES(3,6);
INSERT INTO "dispatch_report" VALUES(3,9);
INSERT INTO "dispatch_report" VALUES(4,4);
INSERT INTO "dispatch_report" VALUES(5,8);
INSERT INTO "dispatch_report" VALUES(6,10);
CREATE TABLE duration_total (
    span INTEGER NOT NULL,
    start INTEGER NOT NULL,
    source TEXT NOT NULL,
    final INTEGER NOT NULL,
    bin INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    PRIMARY KEY (span, start, source, final, bin)
) STRICT, WITHOUT ROWID;
CREATE TABLE endpoint (
    name TEXT PRIMARY KEY,
    read_to INTEGER NOT NULL
, settings TEXT, from_outside INTEGER NOT NULL DEFAULT 0, paused INTEGER NOT NULL DEFAULT 0, removed INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
INSERT INTO "endpoint" VALUES('acme',8,NULL,0,0,0);
INSERT INTO "endpoint" VALUES('beta',8,NULL,0,0,0);
CREATE TABLE endpoint_version (number INTEGER NOT NULL) STRICT;
INSERT INTO "endpoint_version" VALUES(0);
CREATE TABLE followed (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    report INTEGER NOT NULL
) STRICT;
INSERT INTO "followed" VALUES(1,0);
CREATE TABLE "held_report" (
    endpoint TEXT NOT NULL,
    report INTEGER NOT NULL,
    replay INTEGER NOT NULL,
    message_key INTEGER NOT NULL,
    freed INTEGER NOT NULL,
    PRIMARY KEY (endpoint, report, replay)
) STRICT, WITHOUT ROWID;
INSERT INTO "held_report" VALUES('acme',7,0,307595457555244496,1);
INSERT INTO "held_report" VALUES('acme',7,1,101,0);
INSERT INTO "held_report" VALUES('acme',8,0,-3377847241035172268,1);
CREATE TABLE message_under_way (
    endpoint TEXT NOT NULL,
    message_key INTEGER NOT NULL,
    dispatch INTEGER NOT NULL,
    PRIMARY KEY (endpoint, message_key)
) STRICT, WITHOUT ROWID;
INSERT INTO "message_under_way" VALUES('acme',-531015543181976732,4);
INSERT INTO "message_under_way" VALUES('acme',101,7);
INSERT INTO "message_under_way" VALUES('acme',102,7);
INSERT INTO "message_under_way" VALUES('acme',105,8);
INSERT INTO "message_under_way" VALUES('acme',103,9);
INSERT INTO "message_under_way" VALUES('acme',106,10);
CREATE TABLE outcome (
    id INTEGER PRIMARY KEY,
    said TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE price_total (
    span INTEGER NOT NULL,
    start INTEGER NOT NULL,
    source TEXT NOT NULL,
    final INTEGER NOT NULL,
    currency TEXT NOT NULL,
    reports INTEGER NOT NULL,
    sum TEXT NOT NULL,
    PRIMARY KEY (span, start, source, final, currency)
) STRICT, WITHOUT ROWID;
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at INTEGER NOT NULL,
    source TEXT NOT NULL,
    content_type TEXT,
    reason TEXT NOT NULL,
    place TEXT NOT NULL,
    body BLOB NOT NULL
, digest INTEGER, repeats INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE queue_name (name TEXT NOT NULL) STRICT;
INSERT INTO "queue_name" VALUES('db');
CREATE TABLE received_body (
    first_report INTEGER PRIMARY KEY,
    last_report INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE replay (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'cancelled')),
    created_at INTEGER NOT NULL,
    selection TEXT NOT NULL, -- JSON, for showing
    endpoint TEXT, -- the target; NULL: where each report went before
    url TEXT, -- of a target that was given as a URL; its endpoint is made for this replay alone
    rate TEXT, -- 50/s
    speed REAL, -- NULL: not at the original pace
    stop_on_errors REAL,
    total INTEGER NOT NULL,
    fed INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0, -- of those fed: the report or its endpoint is no more
    tried INTEGER NOT NULL DEFAULT 0, -- its dispatches with at least one attempt
    attempts INTEGER NOT NULL DEFAULT 0, -- at all of its dispatches
    started_at INTEGER,
    last_fed_at INTEGER,
    anchor_at INTEGER, -- what its pace counts from (replay/pace.py)
    ended_at INTEGER,
    tidy INTEGER NOT NULL DEFAULT 0 -- ended, and nothing is left to be cleared away
, endpoints TEXT NOT NULL DEFAULT '[]') STRICT;
INSERT INTO "replay" VALUES(1,NULL,'running',1772452800000000,'{"ids":[1,2,3,5,7]}','acme',NULL,NULL,NULL,NULL,5,4,0,1,1,1772452800000000,1772452800000000,1772452800000000,NULL,0,'["acme"]');
INSERT INTO "replay" VALUES(2,NULL,'running',1772452800000000,'{"ids":[3,6]}','acme',NULL,NULL,NULL,NULL,2,2,0,0,0,1772452800000000,1772452800000000,1772452800000000,NULL,0,'["acme"]');
CREATE TABLE replay_count (
    replay INTEGER NOT NULL,
    state TEXT NOT NULL,
    dispatches INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    PRIMARY KEY (replay, state)
) STRICT, WITHOUT ROWID;
INSERT INTO "replay_count" VALUES(1,'held',0,1);
INSERT INTO "replay_count" VALUES(1,'leased',1,1);
INSERT INTO "replay_count" VALUES(1,'waiting',1,2);
INSERT INTO "replay_count" VALUES(2,'leased',1,1);
INSERT INTO "replay_count" VALUES(2,'waiting',1,1);
CREATE TABLE replay_piece (
    replay INTEGER NOT NULL,
    position INTEGER NOT NULL, -- of its first item
    items TEXT NOT NULL,
    PRIMARY KEY (replay, position)
) STRICT;
INSERT INTO "replay_piece" VALUES(1,0,'[[1,1,1,2,2],[0,0,0,0,0],[0,0,0,0,0]]');
INSERT INTO "replay_piece" VALUES(2,0,'[[3,3],[0,0],[0,0]]');
CREATE TABLE report (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at INTEGER NOT NULL,
    source TEXT NOT NULL,
    format TEXT NOT NULL,
    generation TEXT,
    final INTEGER NOT NULL,
    status_group INTEGER,
    duplicates INTEGER NOT NULL DEFAULT 0,
    message_key INTEGER NOT NULL,
    identity INTEGER NOT NULL,
    item TEXT NOT NULL
, notify_url TEXT, notify_format TEXT) STRICT;
INSERT INTO "report" VALUES(1,1772452800000000,'default','json','v2',1,3,0,307595457555244496,-4668283376708724868,'{"bulkId":"BULK-ID-123-xyz","messageId":"m0","to":"41793026727","from":"InfoSMS","sentAt":"2019-11-09T16:00:00.000+0000","doneAt":"2019-11-09T16:00:01.500+0100","smsCount":1,"mccMnc":"04501","callbackData":" cb <&> é \t","price":{"pricePerMessage":0.010,"currency":"EUR"},"status":{"groupId":3,"groupName":"DELIVERED","id":5,"name":"DELIVERED_TO_HANDSET","description":"Message delivered to handset"},"error":{"groupId":0,"groupName":"Ok","id":0,"name":"NO_ERROR","description":"No Error","permanent":false},"entityId":"entity","applicationId":"default","campaignReferenceId":"summer"}',NULL,NULL);
INSERT INTO "report" VALUES(2,1772452800000000,'default','json','v2',1,3,0,-3377847241035172268,4927482116628348439,'{"bulkId":"BULK-ID-123-xyz","messageId":"m1","to":"41793026727","from":"InfoSMS","sentAt":"2019-11-09T16:00:00.000+0000","doneAt":"2019-11-09T16:00:01.500+0100","smsCount":1,"mccMnc":"04501","callbackData":" cb <&> é \t","price":{"pricePerMessage":0.010,"currency":"EUR"},"status":{"groupId":3,"groupName":"DELIVERED","id":5,"name":"DELIVERED_TO_HANDSET","description":"Message delivered to handset"},"error":{"groupId":0,"groupName":"Ok","id":0,"name":"NO_ERROR","description":"No Error","permanent":false},"entityId":"entity","applicationId":"default","campaignReferenceId":"summer"}',NULL,NULL);
INSERT INTO "report" VALUES(3,1772452800000000,'default','json','v2',1,3,0,-4466705964782743408,425160358018078498,'{"bulkId":"BULK-ID-123-xyz","messageId":"m2","to":"41793026727","from":"InfoSMS","sentAt":"2019-11-09T16:00:00.000+0000","doneAt":"2019-11-09T16:00:01.500+0100","smsCount":1,"mccMnc":"04501","callbackData":" cb <&> é \t","price":{"pricePerMessage":0.010,"currency":"EUR"},"status":{"groupId":3,"groupName":"DELIVERED","id":5,"name":"DELIVERED_TO_HANDSET","description":"Message delivered to handset"},"error":{"groupId":0,"groupName":"Ok","id":0,"name":"NO_ERROR","description":"No Error","permanent":false},"entityId":"entity","applicationId":"default","campaignReferenceId":"summer"}',NULL,NULL);
INSERT INTO "report" VALUES(4,1772452800000000,'default','json','v2',1,3,0,-531015543181976732,-6267768637764305452,'{"bulkId":"BULK-ID-123-xyz","messageId":"m3","to":"41793026727","from":"InfoSMS","sentAt":"2019-11-09T16:00:00.000+0000","doneAt":"2019-11-09T16:00:01.500+0100","smsCount":1,"mccMnc":"04501","callbackData":" cb <&> é \t","price":{"pricePerMessage":0.010,"currency":"EUR"},"status":{"groupId":3,"groupName":"DELIVERED","id":5,"name":"DELIVERED_TO_HANDSET","description":"Message delivered to handset"},"error":{"groupId":0,"groupName":"Ok","id":0,"name":"NO_ERROR","description":"No Error","permanent":false},"entityId":"entity","applicationId":"default","campaignReferenceId":"summer"}',NULL,NULL);
INSERT INTO "report" VALUES(5,1772452800000000,'default','json','v2',1,3,0,-2935684793105815195,-9145465536375157152,'{"bulkId":"BULK-ID-123-xyz","messageId":"m4","to":"41793026727","from":"InfoSMS","sentAt":"2019-11-09T16:00:00.000+0000","doneAt":"2019-11-09T16:00:01.500+0100","smsCount":1,"mccMnc":"04501","callbackData":" cb <&> é \t","price":{"pricePerMessage":0.010,"currency":"EUR"},"status":{"groupId":3,"groupName":"DELIVERED","id":5,"name":"DELIVERED_TO_HANDSET","description":"Message delivered to handset"},"error":{"groupId":0,"groupName":"Ok","id":0,"name":"NO_ERROR","description":"No Error","permanent":false},"entityId":"entity","applicationId":"default","campaignReferenceId":"summer"}',NULL,NULL);
INSERT INTO "report" VALUES(6,1772452800000000,'default','json','v2',1,3,0,6241399380017552497,1989366991267327223,'{"bulkId":"BULK-ID-123-xyz","messageId":"m5","to":"41793026727","from":"InfoSMS","sentAt":"2019-11-09T16:00:00.000+0000","doneAt":"2019-11-09T16:00:01.500+0100","smsCount":1,"mccMnc":"04501","callbackData":" cb <&> é \t","price":{"pricePerMessage":0.010,"currency":"EUR"},"status":{"groupId":3,"groupName":"DELIVERED","id":5,"name":"DELIVERED_TO_HANDSET","description":"Message delivered to handset"},"error":{"groupId":0,"groupName":"Ok","id":0,"name":"NO_ERROR","description":"No Error","permanent":false},"entityId":"entity","applicationId":"default","campaignReferenceId":"summer"}',NULL,NULL);
INSERT INTO "report" VALUES(7,1772452800000000,'default','json','v2',1,4,0,307595457555244496,7187889347164698619,'{"bulkId":"BULK-ID-123-xyz","messageId":"m0","to":"41793026727","from":"InfoSMS","sentAt":"2019-11-09T16:00:00.000+0000","doneAt":"2019-11-09T16:00:01.500+0100","smsCount":1,"mccMnc":"04501","callbackData":" cb <&> é \t","price":{"pricePerMessage":0.010,"currency":"EUR"},"status":{"groupId":4,"groupName":"EXPIRED","id":15,"name":"EXPIRED_EXPIRED","description":"Message expired"},"error":{"groupId":0,"groupName":"Ok","id":0,"name":"NO_ERROR","description":"No Error","permanent":false},"entityId":"entity","applicationId":"default","campaignReferenceId":"summer"}',NULL,NULL);
INSERT INTO "report" VALUES(8,1772452800000000,'default','json','v2',1,4,0,-3377847241035172268,-5855378110733153684,'{"bulkId":"BULK-ID-123-xyz","messageId":"m1","to":"41793026727","from":"InfoSMS","sentAt":"2019-11-09T16:00:00.000+0000","doneAt":"2019-11-09T16:00:01.500+0100","smsCount":1,"mccMnc":"04501","callbackData":" cb <&> é \t","price":{"pricePerMessage":0.010,"currency":"EUR"},"status":{"groupId":4,"groupName":"EXPIRED","id":15,"name":"EXPIRED_EXPIRED","description":"Message expired"},"error":{"groupId":0,"groupName":"Ok","id":0,"name":"NO_ERROR","description":"No Error","permanent":false},"entityId":"entity","applicationId":"default","campaignReferenceId":"summer"}',NULL,NULL);
CREATE TABLE report_key (
    day INTEGER NOT NULL,
    message_key INTEGER NOT NULL,
    identity INTEGER NOT NULL,
    report INTEGER NOT NULL,
    PRIMARY KEY (day, message_key, identity)
) STRICT, WITHOUT ROWID;
INSERT INTO "report_key" VALUES(20514,-4466705964782743408,425160358018078498,3);
INSERT INTO "report_key" VALUES(20514,-3377847241035172268,-5855378110733153684,8);
INSERT INTO "report_key" VALUES(20514,-3377847241035172268,4927482116628348439,2);
INSERT INTO "report_key" VALUES(20514,-2935684793105815195,-9145465536375157152,5);
INSERT INTO "report_key" VALUES(20514,-531015543181976732,-6267768637764305452,4);
INSERT INTO "report_key" VALUES(20514,307595457555244496,-4668283376708724868,1);
INSERT INTO "report_key" VALUES(20514,307595457555244496,7187889347164698619,7);
INSERT INTO "report_key" VALUES(20514,6241399380017552497,1989366991267327223,6);
CREATE TABLE schema_version (part TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;
INSERT INTO "schema_version" VALUES('receiver.store',4);
INSERT INTO "schema_version" VALUES('dispatcher.queue',8);
CREATE TABLE search_key (
    block INTEGER NOT NULL,
    field INTEGER NOT NULL,
    key TEXT NOT NULL,
    report INTEGER NOT NULL,
    PRIMARY KEY (block, field, key, report)
) STRICT, WITHOUT ROWID;
CREATE TABLE taken_forgotten (report INTEGER NOT NULL) STRICT;
INSERT INTO "taken_forgotten" VALUES(0);
CREATE TABLE total (
    span INTEGER NOT NULL,
    start INTEGER NOT NULL,
    source TEXT NOT NULL,
    outcome INTEGER NOT NULL,
    reports INTEGER NOT NULL,
    first_report INTEGER NOT NULL,
    last_report INTEGER NOT NULL,
    PRIMARY KEY (span, start, source, outcome)
) STRICT, WITHOUT ROWID;
CREATE INDEX quarantine_digest ON quarantine (digest);
CREATE INDEX dispatch_due ON dispatch (endpoint, due_at, id) WHERE state = 'waiting';
CREATE INDEX dispatch_lease ON dispatch (lease_until) WHERE state = 'leased';
CREATE INDEX message_under_way_dispatch ON message_under_way (dispatch);
CREATE INDEX replay_open ON replay (id) WHERE tidy = 0;
CREATE INDEX dispatch_replay_untried ON dispatch (replay, endpoint)
    WHERE replay IS NOT NULL AND state = 'waiting' AND attempts = 0;
CREATE INDEX dispatch_replay_open ON dispatch (replay, state)
    WHERE replay IS NOT NULL AND state IN ('waiting', 'leased');
CREATE TRIGGER replay_fed AFTER INSERT ON dispatch WHEN new.replay IS NOT NULL BEGIN
    INSERT INTO replay_count VALUES (new.replay, new.state, 1, new.reports)
        ON CONFLICT (replay, state) DO UPDATE
        SET dispatches = dispatches + 1, reports = reports + excluded.reports;
END;
CREATE TRIGGER replay_moved AFTER UPDATE OF state ON dispatch
WHEN new.replay IS NOT NULL AND old.state <> new.state BEGIN
    UPDATE replay_count SET dispatches = dispatches - 1, reports = reports - old.reports
        WHERE replay = new.replay AND state = old.state;
    INSERT INTO replay_count VALUES (new.replay, new.state, 1, new.reports)
        ON CONFLICT (replay, state) DO UPDATE
        SET dispatches = dispatches + 1, reports = reports + excluded.reports;
END;
CREATE TRIGGER replay_tried AFTER UPDATE OF attempts ON dispatch
WHEN new.replay IS NOT NULL AND new.attempts > old.attempts BEGIN
    UPDATE replay SET
        tried = tried + (old.attempts = 0),
        attempts = attempts + new.attempts - old.attempts
        WHERE id = new.replay;
END;
CREATE TRIGGER replay_over AFTER UPDATE OF state ON dispatch
WHEN new.replay IS NOT NULL AND old.state = 'leased' AND new.state = 'waiting'
    AND (SELECT state FROM replay WHERE id = new.replay) IN ('stopped', 'cancelled') BEGIN
    UPDATE dispatch SET state = 'cancelled', due_at = NULL WHERE id = new.id;
END;
CREATE UNIQUE INDEX attempt_of_dispatch ON attempt (dispatch, number);
CREATE TRIGGER dispatch_counted AFTER INSERT ON dispatch BEGIN
    INSERT INTO dispatch_count VALUES (new.endpoint, new.state, 1)
        ON CONFLICT (endpoint, state) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER dispatch_moved AFTER UPDATE OF state ON dispatch WHEN old.state <> new.state BEGIN
    UPDATE dispatch_count SET count = count - 1
        WHERE endpoint = old.endpoint AND state = old.state;
    INSERT INTO dispatch_count VALUES (new.endpoint, new.state, 1)
        ON CONFLICT (endpoint, state) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER dispatch_uncounted AFTER DELETE ON dispatch BEGIN
    UPDATE dispatch_count SET count = count - 1
        WHERE endpoint = old.endpoint AND state = old.state;
END;
CREATE INDEX dispatch_oldest ON dispatch (endpoint, created_at) WHERE state = 'waiting';
CREATE TRIGGER endpoint_over AFTER UPDATE OF state ON dispatch
WHEN old.state = 'leased' AND new.state = 'waiting'
    AND (SELECT removed FROM endpoint WHERE name = new.endpoint) BEGIN
    INSERT INTO dispatch_count VALUES (new.endpoint, 'waiting', 0) ON CONFLICT DO NOTHING;
    UPDATE dispatch SET state = 'cancelled', due_at = NULL WHERE id = new.id;
END;
CREATE TRIGGER dispatch_forgotten AFTER DELETE ON dispatch
WHEN old.last_report > (SELECT report FROM taken_forgotten) BEGIN
    UPDATE taken_forgotten SET report = old.last_report;
END;
CREATE INDEX held_report_message ON held_report (endpoint, message_key);
CREATE INDEX held_report_freed ON held_report (replay, endpoint, report) WHERE freed;
CREATE TRIGGER dispatch_frees AFTER UPDATE OF state ON dispatch
WHEN new.state NOT IN ('waiting', 'leased')
    AND EXISTS (SELECT 1 FROM message_under_way WHERE dispatch = new.id) BEGIN
    UPDATE held_report SET freed = 1 WHERE (endpoint, message_key) IN
        (SELECT endpoint, message_key FROM message_under_way WHERE dispatch = new.id);
    DELETE FROM message_under_way WHERE dispatch = new.id;
END;
CREATE TRIGGER replay_held AFTER INSERT ON held_report WHEN new.replay > 0 BEGIN
    INSERT INTO replay_count VALUES (new.replay, 'held', 0, 1)
        ON CONFLICT (replay, state) DO UPDATE SET reports = reports + 1;
END;
CREATE TRIGGER replay_let_go AFTER DELETE ON held_report WHEN old.replay > 0 BEGIN
    UPDATE replay_count SET reports = reports - 1 WHERE replay = old.replay AND state = 'held';
END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('attempt',5);
INSERT INTO "sqlite_sequence" VALUES('report',8);
INSERT INTO "sqlite_sequence" VALUES('dispatch',10);
INSERT INTO "sqlite_sequence" VALUES('replay',2);
COMMIT;
