<?php
// The right webhook in PHP without a framework: `php -S 127.0.0.1:PORT php_app.php`.
// DLR_DATABASE is the file of its table; each request is a script of its own.

const FINAL_GROUPS = ['DELIVERED', 'UNDELIVERABLE', 'EXPIRED', 'REJECTED'];
const BODY_LIMIT = 10 * 1024 * 1024;

ini_set('display_errors', '0');
libxml_use_internal_errors(true);

function database(): PDO
{
    $database = new PDO('sqlite:' . getenv('DLR_DATABASE'));
    $database->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
    $database->exec('PRAGMA synchronous = OFF');
    $database->exec('CREATE TABLE IF NOT EXISTS report (message_id TEXT, status TEXT, done_at TEXT,
        final INTEGER, name TEXT, callback_data TEXT, UNIQUE (message_id, status, done_at))');
    return $database;
}

function answer(int $status, array $view = []): never
{
    http_response_code($status);
    header('Content-Type: application/json');
    exit(json_encode($view));
}

function reports(string $body, string $type): ?array
{
    if (str_ends_with($type, 'xml')) {
        $root = simplexml_load_string($body);
        if ($root === false || !isset($root->results->result)) {
            return null;
        }
        $found = [];
        foreach ($root->results->result as $result) {
            $found[] = json_decode(json_encode($result), true);
        }
        return $found;
    }
    $document = json_decode($body, true);
    $found = is_array($document) ? $document['results'] ?? null : null;
    return is_array($found) && array_is_list($found) ? $found : null;
}

function text(mixed $value): string
{
    return is_array($value) ? '' : (string) $value;
}

function take(PDO $database, array $reports): void
{
    $database->beginTransaction();
    $insert = $database->prepare('INSERT OR IGNORE INTO report VALUES (?, ?, ?, ?, ?, ?)');
    foreach ($reports as $report) {
        $status = $report['status'] ?? null;
        if (!is_array($status) || empty($report['messageId'])) {
            continue;
        }
        $group = text($status['groupName'] ?? '');
        $key = $group . '/' . text($status['id'] ?? '');
        $final = in_array($group, FINAL_GROUPS, true) && $key !== 'DELIVERED/2';
        $insert->execute([
            $report['messageId'], $key, text($report['doneAt'] ?? ''), (int) $final,
            text($status['name'] ?? $group), text($report['callbackData'] ?? ''),
        ]);
    }
    $database->commit();
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($_SERVER['REQUEST_METHOD'] === 'POST' && $path === '/dlr') {
    if ((int) ($_SERVER['CONTENT_LENGTH'] ?? 0) > BODY_LIMIT) {
        answer(413);
    }
    $type = strtolower(trim(explode(';', $_SERVER['CONTENT_TYPE'] ?? '')[0]));
    $reports = reports(file_get_contents('php://input'), $type);
    if ($reports === null) {
        answer(400, ['error' => 'no reports']);
    }
    take(database(), $reports);
    answer(200, ['taken' => count($reports)]);
}
if (str_starts_with($path, '/messages/')) {
    $select = database()->prepare('SELECT name, callback_data, done_at, count(*) OVER () AS reports
        FROM report WHERE message_id = ? ORDER BY final DESC, rowid DESC LIMIT 1');
    $select->execute([rawurldecode(substr($path, strlen('/messages/')))]);
    $found = $select->fetch(PDO::FETCH_ASSOC);
    if ($found === false) {
        answer(404);
    }
    answer(200, ['state' => $found['name'], 'callbackData' => $found['callback_data'],
        'doneAt' => $found['done_at'], 'reports' => (int) $found['reports']]);
}
answer(404);
